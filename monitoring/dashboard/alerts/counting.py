"""How many incidents are open, as each page's navigation says it."""

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from monitoring.dashboard.access import INCIDENTS, readable
from monitoring.models import Incident


def how_many() -> int:
    """Without those that another one names. One look at the index of what fires."""
    return Incident.objects.open().told().count()


@require_safe
@readable(INCIDENTS)
def count(request: HttpRequest) -> HttpResponseBase:
    """{"open": 2}: what static/monitoring/dashboard/page.js asks for, now and then."""
    response = JsonResponse({"open": how_many()})
    patch_cache_control(response, private=True, no_cache=True)
    return response
