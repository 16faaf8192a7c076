"""GET /live/?ids=1,2&topics=counts,pipeline&after=...: what is stored, as it comes (text/event-stream).

    ids      sensors, at most 100, by commas
    topics   of monitoring.live.topics.known(), by commas
    after    the id that the viewer saw last, or when its page was made: milliseconds since 1970
    once     1: what there is since `after`, and no more; for whoever may not, or cannot, hold a stream

400 with a word on what is wrong; 401, 403; 429 and 503 with Retry-After where one user, or all together, have
too many. docs/live.md says what comes.
"""

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from monitoring import books, status, throttle
from monitoring.dashboard.access import BOOKS, MEASUREMENTS, REJECTED, may_see
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.live import topics
from monitoring.live.hub import MOST_OF_ONE, FullError, Hub, TooManyOfOneError
from monitoring.live.stream import Wish
from monitoring.store import glance

MOST_SENSORS = 100
PARAMETERS = ("ids", "topics", "after", "once")
# What a topic needs; the others are for whoever sees measurements.
NEEDS = {"pipeline": BOOKS}
# Never for everybody: what strangers sent.
PRIVATE = {topics.REJECTED: REJECTED}
RETRY_SECONDS = 15
topics.register("counts", lambda: {"counts": status.counts()}, event="status")
topics.register("pipeline", lambda: books.read(glance()), every=2)
_NUMBER = re.compile(r"[0-9]{1,18}")
_HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would keep an event until its buffer is full
}


class BadWishError(ValueError):
    pass


@cache
def hub() -> Hub:
    """The hub of this process."""
    return Hub(settings.REDIS_URL, settings.LIVE_MAX_STREAMS)


@require_safe
def live(request: HttpRequest) -> HttpResponseBase:
    if _comes_from_elsewhere(request):
        return _refusal(403, _("Pages of other sites may not watch; CORS_ALLOWED_ORIGINS says which may."))
    if not may_see(request):
        return _not_allowed(request, MEASUREMENTS)
    try:
        wish = _wish(request.GET, request.headers.get("Last-Event-ID", ""))
    except BadWishError as error:
        return _refusal(400, str(error))
    for topic in sorted(wish.topics):
        if topic in PRIVATE and not request.user.has_perm(PRIVATE[topic]):
            return _not_allowed(request, PRIVATE[topic])
        if topic in NEEDS and not may_see(request, NEEDS[topic]):
            return _not_allowed(request, NEEDS[topic])
    if request.method == "HEAD":
        return HttpResponse(content_type="text/event-stream", headers=_HEADERS)
    if not isinstance(request, ASGIRequest):
        return _refusal(503, _("This server cannot stream: start the site with python -m config.web."))
    return _stream(request, wish)


def _stream(request: HttpRequest, wish: Wish) -> HttpResponseBase:
    if request.user.is_authenticated:
        who, most = f"user {request.user.pk}", MOST_OF_ONE
    else:
        # A whole class may be behind one address.
        who, most = throttle.address(request), MOST_OF_ONE * throttle.PEOPLE_AT_AN_ADDRESS
    try:
        stream = hub().open(wish, who, most, _right(request, wish))
    except TooManyOfOneError:
        return _refusal(429, _("You have %d streams open: close one of them.") % most, RETRY_SECONDS)
    except FullError:
        return _refusal(503, _("Too many are watching; try again later."), RETRY_SECONDS)
    return StreamingHttpResponse(stream, content_type="text/event-stream; charset=utf-8", headers=_HEADERS)


def _wish(query: QueryDict, last_id: str) -> Wish:
    for name, values in query.lists():
        if name not in PARAMETERS:
            known = ", ".join(PARAMETERS)
            raise BadWishError(
                _("Unknown parameter %(name)r; known are %(known)s.") % {"name": name[:100], "known": known}
            )
        if len(values) > 1:
            raise BadWishError(_("%s is given more than once.") % name)
    once = query.get("once", "")
    if once not in ("", "0", "1"):
        raise BadWishError(_("once must be 0 or 1, not %r.") % once[:100])
    wish = Wish(
        _sensors(query.get("ids", "")),
        _topics(query.get("topics", "")),
        _after(query.get("after") or last_id),
        once == "1",
    )
    if not (wish.sensors or wish.topics):
        raise BadWishError(_("Nothing to watch: give ids, topics or both."))
    return wish


def _sensors(said: str) -> frozenset[int]:
    found = set()
    for one in filter(None, said.split(",")):
        if not _NUMBER.fullmatch(one) or not 1 <= int(one) <= MAX_SENSOR_ID:
            raise BadWishError(_("ids must be ids of sensors, by commas: %r is none.") % one[:100])
        found.add(int(one))
    if len(found) > MOST_SENSORS:
        raise BadWishError(
            _("ids may name %(most)d sensors at most, not %(count)d.")
            % {"most": MOST_SENSORS, "count": len(found)}
        )
    return frozenset(found)


def _topics(said: str) -> frozenset[str]:
    found = frozenset(filter(None, said.split(",")))
    if unknown := sorted(found.difference(topics.known())):
        raise BadWishError(
            _("Unknown topic %(name)r; known are %(known)s.")
            % {"name": unknown[0][:100], "known": ", ".join(topics.known())}
        )
    return found


def _after(said: str) -> int | None:
    if not said:
        return None
    if not _NUMBER.fullmatch(said):
        raise BadWishError(_("after must be milliseconds since 1970, not %r.") % said[:100])
    return int(said)


def _right(request: HttpRequest, wish: Wish) -> Callable[[], bool] | None:
    """A function that checks the viewer's right again, for they may sign out. None: everybody may watch."""
    needed = [PRIVATE[topic] for topic in wish.topics if topic in PRIVATE]
    if not settings.API_PUBLIC_READ:
        needed += [MEASUREMENTS, *(NEEDS[topic] for topic in wish.topics if topic in NEEDS)]
    if not needed:
        return None
    key = request.session.session_key

    def may_watch() -> bool:
        asked = HttpRequest()
        asked.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
        return get_user(asked).has_perms(needed)

    return may_watch


def _comes_from_elsewhere(request: HttpRequest) -> bool:
    """Whether the browser says that the request is cross-site, and of no origin that CORS allows.

    Another site's page could not read the response, but hold the stream open.
    """
    if request.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none"):
        return False
    return request.headers.get("Origin") not in settings.CORS_ALLOWED_ORIGINS


def _not_allowed(request: HttpRequest, permission: str) -> HttpResponse:
    if request.user.is_authenticated:
        detail = _("This needs the permission %(permission)s, and %(user)s does not have it.")
        return _refusal(403, detail % {"permission": permission, "user": request.user.get_username()})
    return _refusal(401, _("Sign in to watch."))


def _refusal(status: int, detail: str, retry_after: int | None = None) -> HttpResponse:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return JsonResponse({"detail": detail}, status=status, headers=headers)
