"""The API's throttle: how often one user may send or change something."""

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from monitoring import throttle

if TYPE_CHECKING:
    # rest_framework.views reads the settings that name this module.
    from rest_framework.views import APIView


class Changes(BaseThrottle):
    """On every route, for those whom its permissions let in."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        if request.method not in SAFE_METHODS:
            throttle.take("post", str(request.user.pk), throttle.Rate.read(settings.THROTTLE_POST))
        return True
