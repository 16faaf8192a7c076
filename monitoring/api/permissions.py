"""Who may do what."""

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

if TYPE_CHECKING:
    # rest_framework.views reads the settings that name this module.
    from rest_framework.views import APIView


class MayRead(BasePermission):
    """Reading is for everybody where API_PUBLIC_READ is set; all else is for those who logged in."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if request.method in SAFE_METHODS and settings.API_PUBLIC_READ:
            return True
        return bool(request.user and request.user.is_authenticated)
