"""`/pipeline/`: what came in and what became of it, the backlog, and who is at work."""

import time
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from monitoring.dashboard import bars
from monitoring.dashboard.access import BOOKS, REJECTED, readable
from monitoring.dashboard.bars import Bars
from monitoring.dashboard.frame import INBOX, show
from monitoring.decoders import MEANINGS, Code
from monitoring.pipeline import picture, state
from monitoring.pipeline.picture import Picture, Step
from monitoring.pipeline.state import State
from monitoring.store import glance
from monitoring.templatetags.dashboard import figure
from process.heartbeat import Sign

DEFAULT_HOURS = 3
# So many codes have a colour of their own; the others share one.
COLOURS = 3
# How long the page's figures are cached: many open pages cause one set of queries.
KEPT_SECONDS = 2.0

# What each kind of process is there for.
PURPOSES = {
    "bridge": gettext_lazy("takes messages from the broker"),
    "worker": gettext_lazy("checks and stores them"),
    "upkeep": gettext_lazy("rollups, retention, statuses, jobs"),
    "beat": gettext_lazy("calls upkeep by the clock"),
    "web": gettext_lazy("answers browsers and the API"),
    "flower": gettext_lazy("shows the tasks"),
}


class Asked(NamedTuple):
    """`error`: of an address that asks for what there is not."""

    hours: int = DEFAULT_HOURS
    is_table: bool = False
    error: str = ""

    @classmethod
    def read(cls, request: HttpRequest) -> "Asked":
        said = request.GET.get("hours", "")
        choices = {str(hours): hours for hours in picture.STEPS}
        error = ""
        if said and said not in choices:
            error = _("%(name)s is one of %(choices)s.") % {"name": "hours", "choices": ", ".join(choices)}
        return cls(choices.get(said, DEFAULT_HOURS), request.GET.get("table") == "1", error)

    def url(self, **changes: Any) -> str:
        asked = self._replace(**changes)
        query = {"hours": asked.hours} | ({"table": 1} if asked.is_table else {})
        return f"{reverse('dashboard:pipeline')}?{urlencode(query)}"


class Choice(NamedTuple):
    title: str
    url: str
    is_chosen: bool


class Process(NamedTuple):
    """`status` as a sensor's: ok, silent, never."""

    name: str
    purpose: str
    status: str
    seen_at: datetime | None


class Refused(NamedTuple):
    """How many readings a code was given to. `colour`: from 1; `url`: into the inbox, for who may."""

    code: str
    meaning: str
    readings: int
    colour: int
    url: str


class Drawn(NamedTuple):
    """`hints`: what each bar says to whoever points at it. `times`: below the bars, evenly."""

    stored: Bars
    refused: Bars | None
    hints: list[str]
    times: list[datetime]


@require_safe
@readable(BOOKS)
def pipeline(request: HttpRequest) -> HttpResponseBase:
    """The page, or for htmx what changes in it."""
    asked = Asked.read(request)
    found, now = _read(asked.hours)
    sums = Step(found.steps[0].start, *(sum(getattr(step, name) for step in found.steps) for name in _SUMS))
    refused = _refused(request, found)
    context = {
        "asked": asked,
        "here": asked.url(),
        "spans": [
            Choice(_("%d h") % hours, asked.url(hours=hours), hours == asked.hours) for hours in picture.STEPS
        ],
        "other": asked.url(is_table=not asked.is_table),
        "picture": found,
        "drawn": None if asked.is_table else _draw(found),
        "table": reversed(found.steps) if asked.is_table else [],
        "sums": sums,
        "rejected": sum(one.readings for one in refused),
        "refused": refused,
        "per_second": _per_second(found),
        "latency": found.latency,
        "latency_minutes": picture.LATENCY_MINUTES,
        "state": now,
        "oldest_at": now and _ago(now.oldest_s),
        "room": now and round(100 * now.pending_bytes / settings.BATCHES_MAX_BYTES),
        "processes": [_process(name, sign) for name, sign in now.processes.items()] if now else [],
    }
    is_part = bool(getattr(request, "htmx", False))
    name = "pipeline_found" if is_part else "pipeline"
    response = show(request, f"monitoring/dashboard/{name}.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


_SUMS = ("received", "stored", "duplicates")
_lock = Lock()
_kept: dict[int, tuple[float, Picture, State | None]] = {}


def _read(hours: int) -> tuple[Picture, State | None]:
    """The figures, cached; two queries where they are not. No state where Redis does not answer."""
    with _lock:
        kept = _kept.get(hours)
        if kept is None or time.monotonic() - kept[0] > KEPT_SECONDS:
            kept = _kept[hours] = time.monotonic(), *_look(hours)
        return kept[1:]


def _look(hours: int) -> tuple[Picture, State | None]:
    store = glance()
    try:
        return picture.look(hours, store), state.read(store)
    except RedisError:
        return picture.look(hours, None), None


def _per_second(found: Picture) -> float | None:
    """Messages received a second, in the last step that is over; None where that is not known."""
    if not found.is_whole or len(found.steps) < 2:
        return None
    return found.steps[-2].received / (60 * found.minutes)


def _ago(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.now(UTC) - timedelta(seconds=seconds)


def _process(name: str, sign: Sign) -> Process:
    status = "ok" if sign.works else "never" if sign.age_s is None else "silent"
    return Process(name, str(PURPOSES.get(name.partition("@")[0], "")), status, _ago(sign.age_s))


def _refused(request: HttpRequest, found: Picture) -> list[Refused]:
    """By code, the most frequent first. What was sent is in the inbox, for those who may look there."""
    may_look = bool(found.codes) and bool(getattr(request.user, "is_staff", False))
    may_look = may_look and request.user.has_perm(REJECTED)
    since = timezone.localtime(found.steps[0].start)
    refused = []
    for place, code in enumerate(found.codes, 1):
        query = urlencode(
            {"code": code, "received_at_from_0": since.date(), "received_at_from_1": since.time()}
        )
        refused.append(
            Refused(
                code,
                _(MEANINGS[Code(code)]) if code in MEANINGS else "",
                sum(step.rejected.get(code, 0) for step in found.steps),
                min(place, COLOURS + 1),
                f"{reverse(INBOX)}?{query}" if may_look else "",
            )
        )
    return refused


def _draw(found: Picture) -> Drawn:
    steps = found.steps
    rejected = [sum(step.rejected.values()) for step in steps]
    received = [step.received for step in steps] if found.is_whole else []
    stored = [[step.stored for step in steps], [step.duplicates for step in steps], rejected]
    colours = [[step.rejected.get(code, 0) for step in steps] for code in found.codes[:COLOURS]]
    others = found.codes[COLOURS:]
    if others:
        colours.append([sum(step.rejected.get(code, 0) for code in others) for step in steps])
    length = timedelta(minutes=found.minutes)
    span = steps[-1].start + length - steps[0].start
    return Drawn(
        bars.draw(stored, received),
        bars.draw(colours) if found.codes else None,
        [_hint(step, found.is_whole) for step in steps],
        [steps[0].start + span * part / 4 for part in range(5)],
    )


def _hint(step: Step, is_whole: bool) -> str:
    said = [_("%s stored") % figure(step.stored)]
    if is_whole:
        said.insert(0, _("%s received") % figure(step.received))
    if step.duplicates:
        said.append(_("%s duplicates") % figure(step.duplicates))
    said += [f"{figure(count)} {code}" for code, count in step.rejected.items()]
    return f"{timezone.localtime(step.start):%H:%M}: {', '.join(said)}"
