"""How many incidents are open, as each page's navigation says it."""

from django.db.models import Count, IntegerField, QuerySet, Subquery
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from monitoring.dashboard.access import INCIDENTS, readable
from monitoring.models import Incident


def open_told() -> "QuerySet[Incident]":
    return Incident.objects.open().told()


def counted() -> Subquery:
    """The same number, for a page that asks for something else at once; None where there is none."""
    by_state = open_told().order_by().values("state").annotate(count=Count("pk"))
    return Subquery(by_state.values("count"), output_field=IntegerField())


def how_many() -> int:
    """Without those that another one names. One look at the index of what fires."""
    return open_told().count()


@require_safe
@readable(INCIDENTS)
def count(request: HttpRequest) -> HttpResponseBase:
    """{"open": 2}: what static/monitoring/dashboard/page.js asks for, now and then."""
    response = JsonResponse({"open": how_many()})
    patch_cache_control(response, private=True, no_cache=True)
    return response
