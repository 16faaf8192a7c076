"""`/`: what comes in, what does not, and each sensor with its last value."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from monitoring.dashboard.access import readable
from monitoring.dashboard.frame import show


@require_safe
@readable()
def overview(request: HttpRequest) -> HttpResponseBase:
    return show(request, "monitoring/dashboard/overview.html")
