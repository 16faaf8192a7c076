"""A sensor: what a message names by `sensor_id`."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self
from uuid import UUID, uuid4

import msgspec
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import connection, models, transaction
from django.db.models import Func, Q, TextField, Value
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from monitoring import locks
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models.arrays import as_literal

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

    from monitoring.models.measurement_queryset import Last


class Expectation(NamedTuple):
    """What a reading is held against; "" where it is not set."""

    kind: str
    unit: str
    is_active: bool
    retention_days: int | None = None


class SensorQuerySet(models.QuerySet["Sensor"]):
    def present(self) -> Self:
        """Without those that somebody asked to remove."""
        return self.filter(removal_requested_at__isnull=True)

    def request_removal(self) -> int:
        """A tombstone: from now on they take no measurements, and a job removes them with all that is theirs.

        Idempotent: returns how many were not being removed already. There is no way back.
        """
        return self.present().update(is_active=False, removal_requested_at=timezone.now())

    def found_by(self, text: str = "", kind: str | None = None, active: bool | None = None) -> Self:
        """Those whose name or location holds the text, whatever its case, or whose id it is; of this kind;
        that are active, or are not."""
        found = self
        if text:
            named = Q(name__icontains=text) | Q(location__icontains=text)
            if text.isdecimal() and int(text) <= MAX_SENSOR_ID:
                named |= Q(pk=int(text))
            found = found.filter(named)
        if kind is not None:
            found = found.filter(kind=kind)
        return found if active is None else found.filter(is_active=active)

    def hold(self) -> UUID:
        """A shared lock: until the transaction ends no sensor can be deleted. Returns the sensors' version.

        While it is the same, so is every sensor. This stands in for a foreign key on measurements, which
        would make the upkeep of partitions wait for every reader, and for a lock on each row, which costs
        as much as storing the measurements does.
        """
        with connection.cursor() as cursor:
            # Two statements: the version as it is once the lock is there.
            cursor.execute(
                "SELECT pg_advisory_xact_lock_shared(%s);"
                " SELECT max(version::text)::uuid FROM monitoring_sensorsversion",
                [locks.SENSORS],
            )
            version = cursor.fetchone()[0]
        return version or uuid4()  # where somebody emptied the table, every look is the first

    def wait_for_holders(self, seconds: float) -> bool:
        """Waits until each transaction that holds the sensors now (`hold`) has ended; blocks nobody.

        False where that takes longer than `seconds`.
        """
        end = time.monotonic() + seconds
        with connection.cursor() as cursor:
            cursor.execute(_HOLDERS, [locks.SENSORS])
            holders = [holder for (holder,) in cursor.fetchall()]
            while holders and time.monotonic() < end:
                # PostgreSQL lets nobody wait for another's transaction but by taking a lock that it holds.
                time.sleep(0.02)
                cursor.execute(f"{_HOLDERS} AND virtualtransaction = ANY(%s)", [locks.SENSORS, holders])
                holders = [holder for (holder,) in cursor.fetchall()]
        return not holders

    def expectations(self, ids: Iterable[int]) -> dict[int, Expectation]:
        """What the sensors among `ids` expect, as far as they exist."""
        # Tuples, not instances: a batch may name a thousand sensors, and an instance costs 13 us.
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, kind, unit, is_active, retention_days FROM monitoring_sensor"
                " WHERE id = ANY(%s::bigint[])",
                [as_literal(ids)],
            )
            return {number: Expectation(*rest) for number, *rest in cursor.fetchall()}

    def change(self, changes: Iterable[tuple["Sensor", Iterable[str]]]) -> None:
        """Writes of each sensor the fields that are named with it, and no others.

        What somebody else changes of it meanwhile stands. Few statements: one for all that change alike.
        """
        alike: dict[tuple[str, ...], list[Sensor]] = defaultdict(list)
        for sensor, names in changes:
            alike[tuple(sorted(names))].append(sensor)
        with transaction.atomic():
            for fields, sensors in alike.items():
                if fields:
                    self.bulk_update(sensors, fields, 1000)

    def hold_ids(self) -> None:
        """A lock: until the transaction ends nobody else makes sensors under ids chosen elsewhere.

        Take it before the first of them is written. Whoever writes sensors has locked the row of their
        version, and would otherwise deadlock with one who has this lock and waits for that row.
        """
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [locks.REGISTER])

    def register(self, sensors: Sequence["Sensor"], most: int | None = None) -> None:
        """Inserts sensors under ids chosen elsewhere, and moves the sequence past them.

        Those whose id is taken are left as they are. `most`: the last of those given are left out where there
        would be more sensors than that in all. An id past 2^53 moves nothing: one hostile message at the end
        of the range would leave no id for the sensors to come.
        """
        by_id = {sensor.pk: sensor for sensor in sensors}
        with transaction.atomic():
            ids = self._reserve(by_id, most)
            self.bulk_create([by_id[number] for number in ids], ignore_conflicts=True)

    def register_named(self, named: Mapping[int, tuple[str, str]], most: int) -> None:
        """As `register`, of sensors that readings name: kind and unit, by id.

        Rows, not instances: one batch may name 13,600, and in all each would cost 100 us as an instance.
        """
        with transaction.atomic(), connection.cursor() as cursor:
            rows = [(number, *named[number]) for number in self._reserve(named, most)]
            cursor.execute(_INSERT_NAMED, [timezone.now(), msgspec.json.encode(rows).decode()])

    def _reserve(self, ids: Collection[int], most: int | None) -> list[int]:
        """Of these ids those that may be made, in order; nobody else is given or makes them meanwhile."""
        if most is not None and self.count() >= most:
            return []
        with connection.cursor() as cursor:
            self.hold_ids()
            ordered = sorted(ids)
            if most is not None:
                ordered = ordered[: max(0, most - self.count())]
            # Before they are made, so that nobody is given an id that is about to be taken.
            _go_past(cursor, max((number for number in ordered if number < 2**53), default=0))
            return ordered


def natural(column: str) -> Func:
    """What sorts as a person would: Sensor 2 before Sensor 10. Each number is written with ten digits."""

    def replace(text: Func, pattern: str, by: str) -> Func:
        function = "regexp_replace"
        return Func(text, Value(pattern), Value(by), Value("g"), function=function, output_field=TextField())

    return replace(replace(Lower(column), r"(\d+)", r"0000000000\1"), r"\d*(\d{10})", r"\1")


_INSERT_NAMED = """
INSERT INTO monitoring_sensor (id, name, kind, unit, is_active, location, added_at)
SELECT (named->>0)::bigint, 'Sensor ' || (named->>0), named->>1, named->>2, true, '', %s
FROM json_array_elements(%s::json) AS named
ON CONFLICT DO NOTHING
"""

_HOLDERS = """
SELECT virtualtransaction FROM pg_locks JOIN pg_database ON pg_database.oid = database
WHERE locktype = 'advisory' AND granted AND datname = current_database() AND pid <> pg_backend_pid()
  AND classid = 0 AND objid = %s
"""


def _go_past(cursor: "CursorWrapper", number: int) -> None:
    """Moves the sequence past this id, and past the highest that a sensor has."""
    cursor.execute(
        "SELECT GREATEST(%s, (SELECT max(id) FROM monitoring_sensor WHERE id < 2^53)),"
        " last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM monitoring_sensor_id_seq",
        [number],
    )
    highest, given_out = cursor.fetchone()
    if highest - given_out > _FAR:
        cursor.execute("SELECT setval('monitoring_sensor_id_seq', %s)", [highest])
    elif highest > given_out:
        # Meanwhile somebody who adds a sensor may be given an id: setval would take it back, and give it to
        # the next one too. nextval only goes on.
        cursor.execute(
            "SELECT nextval('monitoring_sensor_id_seq') FROM generate_series(1, %s)", [highest - given_out]
        )


# More ids than are given out while we look.
_FAR = 1000


class Sensor(models.Model):
    name = models.CharField(_("name"), max_length=200)
    kind = models.CharField(
        _("kind"),
        max_length=64,
        blank=True,
        help_text=_("What a message's `type` must equal, such as temperature; empty accepts any."),
    )
    unit = models.CharField(
        _("unit"),
        max_length=32,
        blank=True,
        help_text=_("What a message's `unit` must equal, such as °C; empty accepts any."),
    )
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Measurements of a sensor that is not active are rejected.")
    )
    location = models.CharField(_("location"), max_length=200, blank=True)
    # Worked out when a name is written: for each page, of ten thousand sensors, it would take 0.2 s.
    name_key = models.GeneratedField(expression=natural("name"), output_field=TextField(), db_persist=True)
    location_key = models.GeneratedField(
        expression=natural("location"), output_field=TextField(), db_persist=True
    )
    retention_days = models.PositiveIntegerField(
        _("retention (days)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(2), MaxValueValidator(36_500)],
        help_text=_(
            "Keeps this sensor's measurements for fewer days than the rest; empty keeps them as long."
        ),
    )
    expected_interval_s = models.PositiveIntegerField(
        _("expected interval (s)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(31_536_000)],
        help_text=_(
            "How often a reading is expected: past 3 of these it is late, past 10 silent. Empty: learned from"
            " its readings."
        ),
    )
    removal_requested_at = models.DateTimeField(
        _("removal requested"),
        null=True,
        editable=False,
        help_text=_("Since then a job removes it, piece by piece, with all its measurements."),
    )
    added_at = models.DateTimeField(_("added"), auto_now_add=True)
    # No column: whoever lists sensors with it takes it from `Measurement.objects.last_of`.
    last: "Last | None"

    objects = SensorQuerySet.as_manager()

    class Meta:
        verbose_name = _("sensor")
        verbose_name_plural = _("sensors")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name

    def latest(self) -> "Last | None":
        """Its newest measurement by `created_at`, or None: one look-up in the index."""
        from monitoring.models.measurement_queryset import Last

        # What `Measurement.objects.last_of` says, which is for many: here its join is a third of the time.
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT value, unit, created_at FROM monitoring_measurement"
                " WHERE sensor_id = %s ORDER BY created_at DESC LIMIT 1",
                [self.pk],
            )
            row = cursor.fetchone()
        return Last(*row) if row else None
