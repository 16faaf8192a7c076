"""What goes wrong, as an answer: {"detail": ...} or field errors, with the right status."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import (
    HttpRequest,
    HttpResponseBase,
    HttpResponsePermanentRedirect,
    JsonResponse,
    UnreadablePostError,
)
from django.urls import Resolver404, resolve
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt
from rest_framework import status
from rest_framework.exceptions import APIException, Throttled, UnsupportedMediaType
from rest_framework.response import Response
from rest_framework.views import exception_handler

from batches.store import StoreFullError
from monitoring.details import translated
from monitoring.ingest.passing import is_passing
from monitoring.throttle import TooOftenError

logger = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = 5
# Nothing else is taken, by any route.
WANTED_TYPE = _("Unsupported media type %r: send JSON, with Content-Type: application/json.")


class TooLargeError(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = _("The body is too large.")


class EncodedBodyError(APIException):
    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    default_detail = _("Content-Encoding is not supported: send the body as it is.")


class UnprocessableError(APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY


class ConflictError(APIException):
    status_code = status.HTTP_409_CONFLICT


class BadBodyError(APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_detail = _("The request cannot be read.")


class AwayError(APIException):
    """503: something that the answer needs is away or full. `wait` (seconds) becomes Retry-After."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    wait = RETRY_AFTER_SECONDS


@contextmanager
def unless_passing() -> Iterator[None]:
    """For what is stored while a client waits: a transient error, which ingest would retry, becomes a 503."""
    try:
        yield
    except Exception as error:
        if not is_passing(error):
            raise
        logger.warning("cannot be done now: %s", str(error).strip().partition("\n")[0])
        raise AwayError(
            gettext("It cannot be done now, and nothing was changed; try again later.")
        ) from error


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's handler, and the errors that it does not know. None for a bug: that is a 500."""
    known: Exception = error
    if isinstance(error, StoreFullError):
        known = AwayError(
            gettext("Too much is pending already; send it again later (%s).") % translated(str(error))
        )
    elif isinstance(error, redis.RedisError):
        logger.warning("Redis is away: %s", error)
        known = AwayError(gettext("Redis does not answer; try again later."))
    elif isinstance(error, OperationalError | InterfaceError):
        logger.warning("the database is away: %s", error)
        known = AwayError(gettext("The database does not answer; try again later."))
    elif isinstance(error, TooOftenError):
        known = Throttled(error.wait)
    elif isinstance(error, UnsupportedMediaType):
        sent = context["request"].content_type or ""
        known = UnsupportedMediaType(sent, WANTED_TYPE % sent)
    elif isinstance(error, RequestDataTooBig):
        known = TooLargeError()
    elif isinstance(error, SuspiciousOperation | BadRequest | UnreadablePostError):
        known = BadBodyError()
    return exception_handler(known, context)


@csrf_exempt
def unknown_path(request: HttpRequest) -> HttpResponseBase:
    """A path under /api/ that is none: JSON, as everything else there."""
    if not request.path_info.endswith("/"):
        try:
            found = resolve(request.path_info + "/").func is not unknown_path
        except Resolver404:
            found = False
        if found and request.method in ("GET", "HEAD"):
            return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True))
        if found:
            # A redirect would turn a POST into a GET.
            return JsonResponse(
                {"detail": gettext("Not found: did you mean %s/ ?") % request.path}, status=404
            )
    return JsonResponse({"detail": gettext("Not found: /api/docs/ lists what there is.")}, status=404)
