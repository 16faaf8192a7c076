"""The tiles of the admin's first page: is anything coming in, is anything stuck, was anything refused."""

from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from redis.exceptions import RedisError

from monitoring import books, unread_times
from monitoring.admin.column import grouped
from monitoring.models import IngestBatch, RejectedTally, Sensor
from monitoring.store import glance
from process.heartbeat import at_work


class Tile(NamedTuple):
    title: str
    figure: str
    note: str
    url: str
    alarm: bool = False


def tiles(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Nothing here reads more than some hours' worth of sums, however old the installation is."""
    if request.user.has_perm("monitoring.view_ingestbatch"):
        context["tiles"] = [*_from_database(), *_from_redis()]
        context["notices"] = _unread_times()
    return context


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


def _from_database() -> list[Tile]:
    now = timezone.now()
    sensors, active = Sensor.objects.present().count(), Sensor.objects.filter(is_active=True).count()
    lately = IngestBatch.objects.filter(ingested_at__gt=now - timedelta(minutes=5))
    stored = lately.aggregate(sum=Sum("stored"))["sum"] or 0
    day = RejectedTally.objects.filter(hour__gt=now - timedelta(hours=24))
    # What waits for somebody: what was mended, or set aside, is no reason to look.
    rejected = day.aggregate(seen=Sum("seen"), waiting=Sum("waiting"))
    waiting, seen = rejected["waiting"] or 0, rejected["seen"] or 0
    return [
        Tile(
            _("Sensors"),
            grouped(sensors),
            ngettext("%d active", "%d active", active) % active,
            reverse("admin:monitoring_sensor_changelist"),
        ),
        Tile(
            _("Stored"),
            grouped(stored),
            _("measurements in the last 5 minutes"),
            reverse("admin:monitoring_measurement_changelist"),
        ),
        Tile(
            _("Rejected"),
            grouped(waiting),
            ngettext(
                "wait, of %(count)s rejected in the last 24 hours",
                "wait, of %(count)s rejected in the last 24 hours",
                seen,
            )
            % {"count": grouped(seen)}
            if seen
            else _("nothing in the last 24 hours"),
            reverse("admin:monitoring_rejectedmessage_changelist"),
            waiting > 0,
        ),
    ]


def _from_redis() -> list[Tile]:
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
        Tile(_("Pending"), grouped(figures.pending_messages), note, ledger, oldest > 60),
        _missing(missing),
        Tile(
            _("Processes"),
            f"{len(processes) - len(silent)}/{len(processes)}",
            _("silent: %s") % ", ".join(silent) if silent else ", ".join(processes),
            reverse("admin:django_celery_beat_periodictask_changelist"),
            bool(silent),
        ),
    ]


def _missing(messages: int | None) -> Tile:
    corrections = reverse("admin:monitoring_correction_changelist")
    if messages is None:
        return Tile(_("Missing"), "…", _("too much is pending to say"), corrections)
    note = _("every message is accounted for")
    if messages:
        note = (
            _("handed over, not in the ledger") if messages > 0 else _("in the ledger, not counted by Redis")
        )
    return Tile(_("Missing"), grouped(abs(messages)), note, corrections, messages != 0)
