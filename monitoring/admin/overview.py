"""The admin's first page: how sensors are, what waits for a person, how the pipeline does; then all lists.

Each tile is of something that its reader may see, and so is each list.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Count, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from redis.exceptions import RedisError

from monitoring import books, status, unread_times
from monitoring.admin import ages, alerts, frame
from monitoring.admin.column import grouped
from monitoring.decoders import Code
from monitoring.models import Incident, IngestBatch, RejectedTally
from monitoring.store import glance
from process.heartbeat import at_work

SENSORS, BOOKS = "monitoring.view_sensor", "monitoring.view_ingestbatch"
ALERTS = "monitoring.view_incident"
# In the order in which a person would look; those that are none's concern come last.
STATES = ("silent", "late", "never", "ok", "off")
ALARMING = ("silent", "late")
MISFITS = (Code.INACTIVE_SENSOR.value, Code.UNIT_MISMATCH.value, Code.TYPE_MISMATCH.value)


class Tile(NamedTuple):
    """`state`: of sensors, whose sign stands before the title."""

    title: str
    figure: str
    note: str
    url: str
    alarm: bool = False
    state: str = ""


class Part(NamedTuple):
    title: str
    tiles: list[Tile]


class ListLink(NamedTuple):
    title: str
    url: str
    icon: str
    add_url: str | None


def first_page(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What its template shows. Nothing here reads more than sums, however old the installation is."""
    may = request.user.has_perm
    parts, notices = [], []
    if may(SENSORS):
        parts.append(Part(_("Sensors"), _sensors()))
        notices += _behind()
    waits = [*(_alerts() if may(ALERTS) else []), *(_rejected() if may(frame.SEE) else [])]
    if waits:
        parts.append(Part(_("Waits for somebody"), waits))
    if may(BOOKS):
        parts.append(Part(_("Books and processes"), [_stored(), *_from_redis(may)]))
        notices += _unread_times()
    return context | {"parts": parts, "notices": notices, "lists": list(_lists(context))}


def _lists(context: dict[str, Any]) -> Iterator[tuple[str, list[ListLink]]]:
    """As the sidebar has them, which is hidden on a phone; with what can be added."""
    add_urls = {
        model["admin_url"]: model["add_url"] for app in context["app_list"] for model in app["models"]
    }
    here = reverse("admin:index")
    for group in context["sidebar_navigation"]:
        links = [
            ListLink(item["title"], item["link"], item["icon"], add_urls.get(item["link"]))
            for item in group["items"]
            if item["has_permission"] and item["link"] != here
        ]
        if links:
            yield group.get("title") or _("Readings"), links


def _behind() -> list[str]:
    behind = status.behind()
    if behind is None:
        return []
    why = behind.why.label
    if behind.since is None:
        return [_("We are behind: %(why)s. No sensor is called late for it.") % {"why": why}]
    return [
        _("We are behind since %(moment)s (%(zone)s): %(why)s. No sensor is called late for it.")
        % {"moment": ages.to_the_minute(behind.since), "zone": ages.zone(), "why": why}
    ]


def _unread_times() -> list[str]:
    with suppress(RedisError):
        return [
            _(
                "Messages on %(topic)s have a field %(field)s, which nobody reads: they are stored under the"
                " time at which they were received. A device's own time is called ts."
            )
            % one._asdict()
            for one in unread_times.seen(glance().redis)
        ]
    return []


def _sensors() -> list[Tile]:
    titles = {
        "silent": (_("Silent"), _("nothing for more than 10 intervals")),
        "late": (_("Late"), _("nothing for more than 3 intervals")),
        "never": (_("Never seen"), _("have not sent yet")),
        "ok": (_("OK"), _("send as expected")),
        "off": (_("Off"), _("what they send is rejected")),
    }
    counts = status.counts()
    url = reverse("admin:monitoring_sensor_changelist")
    return [
        Tile(
            titles[state][0],
            grouped(counts[state]),
            titles[state][1],
            f"{url}?status={state}",
            state in ALARMING and counts[state] > 0,
            state,
        )
        for state in STATES
    ]


def _alerts() -> list[Tile]:
    """Those that fire have an index of their own."""
    firing = Incident.objects.open().told()
    counts = firing.aggregate(all=Count("pk"), seen=Count("acknowledged_at"))
    note = _("nobody has acknowledged %s of them") % grouped(counts["all"] - counts["seen"])
    if counts["all"] == counts["seen"]:
        note = _("all are acknowledged") if counts["all"] else _("no rule fires")
    return [
        Tile(
            _("Alerts"),
            grouped(counts["all"]),
            note,
            f"{reverse(alerts.INCIDENTS)}?{alerts.STATE}={Incident.State.FIRING}",
            counts["all"] > counts["seen"],
        )
    ]


def _rejected() -> list[Tile]:
    """In readings: the tallies hold no more than what a person is to look at is worth."""
    waiting = dict(
        RejectedTally.objects.filter(waiting__gt=0)
        .order_by()
        .values_list("code")
        .annotate(sum=Sum("waiting"))
    )
    day = timezone.now() - timedelta(hours=24)
    seen = RejectedTally.objects.filter(hour__gt=day).aggregate(sum=Sum("seen"))["sum"] or 0
    rejected = sum(waiting.values())
    strangers = waiting.get(Code.UNKNOWN_SENSOR.value, 0)
    misfits = sum(waiting.get(code, 0) for code in MISFITS)
    note = ngettext(
        "reading waits; %(count)s rejected in the last 24 hours",
        "readings wait; %(count)s rejected in the last 24 hours",
        rejected,
    ) % {"count": grouped(seen)}
    lobby = reverse(frame.LOBBY)
    return [
        Tile(_("Rejected"), grouped(rejected), note, reverse(frame.INBOX), rejected > 0),
        Tile(
            _("Lobby"),
            grouped(strangers),
            _("of sensors that nobody has registered"),
            lobby,
            strangers > 0,
        ),
        Tile(
            _("Misfits"),
            grouped(misfits),
            _("of sensors that are off, or have another unit or type"),
            f"{lobby}#misfits",
            misfits > 0,
        ),
    ]


def _stored() -> Tile:
    lately = IngestBatch.objects.filter(ingested_at__gt=timezone.now() - timedelta(minutes=5))
    return Tile(
        _("Stored"),
        grouped(lately.aggregate(sum=Sum("stored"))["sum"] or 0),
        _("measurements in the last 5 minutes"),
        reverse("admin:monitoring_ingestbatch_changelist"),
    )


def _from_redis(may: Any) -> list[Tile]:
    ledger = reverse("admin:monitoring_ingestbatch_changelist")
    try:
        store = glance()
        figures, missing = store.figures(), books.missing(store)
        processes = at_work(store.redis)
    except RedisError:
        return [Tile(_("Pending"), "?", _("Redis does not answer"), ledger, True)]
    silent = [name for name, works in processes.items() if not works]
    oldest = (timezone.now().timestamp() - figures.oldest_pending) if figures.oldest_pending else 0
    note = _("the oldest for %d s") % oldest if figures.oldest_pending else _("messages; all is stored")
    return [
        _missing(missing, may),
        Tile(_("Pending"), grouped(figures.pending_messages), note, ledger, oldest > 60),
        Tile(
            _("Processes"),
            f"{len(processes) - len(silent)}/{len(processes)}",
            _("silent: %s") % ", ".join(silent) if silent else ", ".join(processes),
            reverse("admin:django_celery_beat_periodictask_changelist")
            if may("django_celery_beat.view_periodictask")
            else ledger,
            bool(silent),
        ),
    ]


def _missing(messages: int | None, may: Any) -> Tile:
    name = "correction" if may("monitoring.view_correction") else "ingestbatch"
    corrections = reverse(f"admin:monitoring_{name}_changelist")
    if messages is None:
        return Tile(_("Missing"), "…", _("too much is pending to say"), corrections)
    note = _("every message is accounted for")
    if messages:
        note = (
            _("handed over, not in the ledger") if messages > 0 else _("in the ledger, not counted by Redis")
        )
    return Tile(_("Missing"), grouped(abs(messages)), note, corrections, messages != 0)
