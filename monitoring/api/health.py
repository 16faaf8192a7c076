"""Is it alive, and is it ready? For load balancers, containers and people."""

import logging

import redis
from django.db import connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext

from monitoring import __version__, books
from monitoring.details import translated
from monitoring.store import glance

logger = logging.getLogger(__name__)
CHECK_SECONDS = 2


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers; asks nobody else, so that a database that is away restarts no web server."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """{"ready": true, "version": "0.2.0", "checks": {"database": "ok", "redis": "ok"}, "warnings": [],
    "processes": {...}}"""
    warnings: list[str] = []
    processes: dict[str, bool] = {}
    checks = {"database": _database(), "redis": "ok"}
    try:
        store = glance()
        store.redis.ping()
        processes = books.processes(store.redis)
        warnings = [translated(warning) for warning in store.warnings()]
    except (redis.RedisError, OSError) as error:
        logger.warning("not ready: Redis: %s", error)
        checks["redis"] = gettext("does not answer (%s)") % type(error).__name__
    ready = all(check == "ok" for check in checks.values())
    return JsonResponse(
        {
            "ready": ready,
            "version": __version__,
            "checks": checks,
            "warnings": warnings,
            "processes": processes,
        },
        status=200 if ready else 503,
    )


def _database() -> str:
    """On a connection of its own, with shorter timeouts than requests have."""
    wrapper = connections["default"]
    try:
        params = wrapper.get_connection_params() | {
            "connect_timeout": CHECK_SECONDS,
            "options": f"-c statement_timeout={CHECK_SECONDS}s",
        }
        connection = wrapper.get_new_connection(params)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        finally:
            connection.close()
    except Exception as error:
        logger.warning("not ready: database: %s", error)
        return gettext("does not answer (%s)") % type(error).__name__
    return "ok"
