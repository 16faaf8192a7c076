"""The lobby: sensors that send and that nobody has registered; and what those that are were refused for.

A sensor id waits here with what its messages say of it. Somebody approves it: it is registered, and a job
replays what waits of it; or blocks it: what waits is dismissed, and what comes is counted and not kept.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import connection, transaction

from monitoring.decoders import Code, Reading, for_topic
from monitoring.models import BlockedSensor, Job, Sensor
from monitoring.rejected import jobs
from monitoring.rejected.replay import UnitChange
from monitoring.rejected.selection import Selection

# Of a sensor's newest messages, what is decoded to see what they say of it.
_MESSAGES, _BYTES = 20, 32 * 1024


class Guest(NamedTuple):
    """A sensor id that waits: how much of it, since when, and what its newest messages say."""

    sensor_id: int
    messages: int
    first: datetime
    last: datetime
    topics: list[str]
    kinds: list[str]
    units: list[str]
    last_value: float | None

    @property
    def suggested(self) -> dict[str, str]:
        """What a form begins with: the most frequent comes first."""
        return {
            "name": f"Sensor {self.sensor_id}",
            "kind": (self.kinds or [""])[0],
            "unit": (self.units or [""])[0],
            "location": "",
        }


def guests(limit: int = 50, only: int | None = None) -> list[Guest]:
    """The newest first. `only`: of this sensor id."""
    with connection.cursor() as cursor:
        cursor.execute(_GUESTS, {"limit": limit, "only": only})
        found = cursor.fetchall()
    said = Said.of([sensor_id for sensor_id, *_ in found], Code.UNKNOWN_SENSOR)
    return [
        Guest(
            sensor_id,
            messages,
            first,
            last,
            sorted(topics),
            said[sensor_id].kinds,
            said[sensor_id].units,
            said[sensor_id].last_value,
        )
        for sensor_id, messages, first, last, topics in found
    ]


class Said(NamedTuple):
    """What the newest waiting messages say of a sensor; the most frequent first."""

    kinds: list[str]
    units: list[str]
    last_value: float | None

    @classmethod
    def of(cls, sensor_ids: Sequence[int], code: Code, detail: str | None = None) -> dict[int, "Said"]:
        with connection.cursor() as cursor:
            cursor.execute(
                _NEWEST,
                {"sensors": list(sensor_ids), "code": code.value, "detail": detail, "limit": _MESSAGES},
            )
            rows = cursor.fetchall()
        payloads: dict[int, list[tuple[str, bytes]]] = {sensor_id: [] for sensor_id in sensor_ids}
        for sensor_id, topic, payload in rows:
            payloads[sensor_id].append((topic, bytes(payload)))
        return {sensor_id: cls._read(sensor_id, newest) for sensor_id, newest in payloads.items()}

    @classmethod
    def _read(cls, sensor_id: int, newest: Sequence[tuple[str, bytes]]) -> "Said":
        kinds, units = Counter[str](), Counter[str]()
        last_value: float | None = None
        for reading in _readings(sensor_id, newest):
            if last_value is None:
                last_value = reading.value
            kinds.update(filter(None, [reading.kind]))
            units.update(filter(None, [reading.unit]))
        return cls(
            [kind for kind, _ in kinds.most_common()], [unit for unit, _ in units.most_common()], last_value
        )


def _readings(sensor_id: int, newest: Sequence[tuple[str, bytes]]) -> Iterator[Reading]:
    left = _BYTES
    for topic, payload in newest:
        for item in for_topic(topic)(payload, None):
            if isinstance(item, Reading) and item.sensor_id == sensor_id:
                yield item
        left -= len(payload)
        if left <= 0:
            return


def approve(sensor: Sensor, by: User | None) -> Job:
    """Registers the sensor under the id that its messages name; the job returned replays what waits of it.

    Raises IntegrityError where there is a sensor with this id.
    """
    with transaction.atomic():
        Sensor.objects.hold_ids()
        sensor.save(force_insert=True)
        BlockedSensor.objects.filter(pk=sensor.pk).delete()
        Sensor.objects.register([])  # moves the sequence past it
        # All that names it: of an array the sensor may be the least of its faults.
        return jobs.request(Job.Kind.REPLAY, Selection(sensor=sensor.pk), by)


def block(sensor_id: int, by: User | None) -> Job:
    """From now on its messages are counted, and not kept; the job returned dismisses those that wait.

    Idempotent. An array that names other sensors too is not dismissed.
    """
    with transaction.atomic():
        BlockedSensor.objects.get_or_create(
            pk=sensor_id, defaults={"blocked_by": by.get_username() if by else ""}
        )
        which = Selection(only_sensor=sensor_id)
        return jobs.request(Job.Kind.DISMISS, which, by, reason="blocked")


def unblock(sensor_id: int) -> bool:
    return bool(BlockedSensor.objects.filter(pk=sensor_id).delete()[0])


class Misfit(NamedTuple):
    """What a sensor that is registered was refused for, again and again: it is switched off, or its messages
    name another type or unit than it has. `said`: which."""

    code: str
    sensor: Sensor
    detail: str
    messages: int
    first: datetime
    last: datetime
    said: str

    @property
    def remedies(self) -> list[str]:
        """activate, change_unit, change_kind: of the sensor; read_unit_as: of the messages alone."""
        return {
            Code.INACTIVE_SENSOR.value: ["activate"],
            Code.UNIT_MISMATCH.value: ["change_unit", "read_unit_as"],
            Code.TYPE_MISMATCH.value: ["change_kind"],
        }[self.code]

    @property
    def selection(self) -> Selection:
        return Selection(code=self.code, sensor=self.sensor.pk, detail=self.detail)


_MISFITS = (Code.INACTIVE_SENSOR, Code.UNIT_MISMATCH, Code.TYPE_MISMATCH)


def misfits(limit: int = 50, only: tuple[str, int, str] | None = None) -> list[Misfit]:
    """The newest first. `only`: of this code, sensor and detail."""
    code, sensor, detail = only or (None, None, None)
    asked = {"code": code, "sensor": sensor, "detail": detail}
    with connection.cursor() as cursor:
        cursor.execute(_FOUND_MISFITS, {"codes": [code.value for code in _MISFITS], "limit": limit, **asked})
        found = cursor.fetchall()
    sensors = Sensor.objects.present().in_bulk([row[1] for row in found])
    misfits = []
    for code, sensor_id, detail, messages, first, last in found:
        if sensor_id in sensors:
            said = Said.of([sensor_id], Code(code), detail)[sensor_id]
            names = {Code.UNIT_MISMATCH: said.units, Code.TYPE_MISMATCH: said.kinds}.get(Code(code), [])
            name = (names or [""])[0]
            misfits.append(Misfit(code, sensors[sensor_id], detail, messages, first, last, name))
    return misfits


_UNKNOWN = (
    "(code = 'unknown_sensor' OR indexes LIKE 'unknown_sensor %%' OR indexes LIKE E'%%\\nunknown_sensor %%')"
)

_GUESTS = f"""
SELECT sensor, count(*), min(received_at), max(received_at), (array_agg(DISTINCT topic))[1:5]
FROM monitoring_rejectedmessage CROSS JOIN LATERAL unnest(sensors) AS sensor
WHERE state = 'waiting' AND {_UNKNOWN} AND (%(only)s::bigint IS NULL OR sensors @> ARRAY[%(only)s::bigint])
  AND NOT EXISTS (SELECT FROM monitoring_sensor WHERE id = sensor)
  AND NOT EXISTS (SELECT FROM monitoring_blockedsensor WHERE sensor_id = sensor)
  AND (%(only)s::bigint IS NULL OR sensor = %(only)s)
GROUP BY sensor ORDER BY max(received_at) DESC, sensor LIMIT %(limit)s
"""

_NEWEST = """
SELECT sensor, newest.topic, newest.payload FROM unnest(%(sensors)s::bigint[]) AS sensor
CROSS JOIN LATERAL (
    SELECT topic, payload, received_at, id FROM monitoring_rejectedmessage
    WHERE state = 'waiting' AND sensors @> ARRAY[sensor] AND (code = %(code)s OR indexes <> '')
      AND (%(detail)s::text IS NULL OR detail = %(detail)s)
    ORDER BY received_at DESC, id DESC LIMIT %(limit)s
) AS newest ORDER BY sensor, newest.received_at DESC, newest.id DESC
"""

_FOUND_MISFITS = """
SELECT code, sensor, detail, count(*), min(received_at), max(received_at)
FROM monitoring_rejectedmessage CROSS JOIN LATERAL unnest(sensors) AS sensor
WHERE state = 'waiting' AND code = ANY(%(codes)s) AND cardinality(sensors) = 1 AND indexes = ''
  AND (%(code)s::text IS NULL OR code = %(code)s) AND (%(detail)s::text IS NULL OR detail = %(detail)s)
  AND (%(sensor)s::bigint IS NULL OR sensors @> ARRAY[%(sensor)s::bigint])
GROUP BY code, sensor, detail ORDER BY max(received_at) DESC LIMIT %(limit)s
"""


def remedy(misfit: Misfit, name: str, by: User | None) -> Job:
    """Does what the remedy says, and replays what waits for it.

    Raises KeyError for one that does not fit.
    """
    if name not in misfit.remedies:
        raise KeyError(name)
    changes: dict[str, dict[str, Any]] = {
        "activate": {"is_active": True},
        "change_unit": {"unit": misfit.said},
        "change_kind": {"kind": misfit.said},
    }
    change = UnitChange(misfit.said, misfit.sensor.unit) if name == "read_unit_as" else None
    with transaction.atomic():
        if name in changes:
            Sensor.objects.present().filter(pk=misfit.sensor.pk).update(**changes[name])
        return jobs.request(Job.Kind.REPLAY, misfit.selection, by, change=change)
