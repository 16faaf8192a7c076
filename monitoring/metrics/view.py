"""GET /metrics: for whoever shows METRICS_TOKEN, and for whoever is signed in and may see the ledger."""

import hmac

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from monitoring.metrics.collector import State
from monitoring.store import glance

PERMISSION = "monitoring.view_ingestbatch"


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """In the text format of Prometheus, or OpenMetrics where that is asked for.

    401 where a wrong token is shown, or none; 404 where METRICS_TOKEN is not set: nobody is told of a door
    that nobody may use.
    """
    if not (_shows_the_token(request) or request.user.has_perm(PERMISSION)):
        if not settings.METRICS_TOKEN:
            return HttpResponse("Not found\n", status=404, content_type="text/plain")
        refusal = HttpResponse("The token is not METRICS_TOKEN.\n", status=401, content_type="text/plain")
        refusal["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return refusal
    registry = CollectorRegistry(auto_describe=False)
    registry.register(State(glance()))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


def _shows_the_token(request: HttpRequest) -> bool:
    kind, _, shown = request.headers.get("Authorization", "").partition(" ")
    wanted: str = settings.METRICS_TOKEN or ""
    return wanted != "" and kind.lower() == "bearer" and hmac.compare_digest(shown.encode(), wanted.encode())
