"""What sensors expect of readings: a cache, valid for as long as no sensor changes.

All sensors have one version in the database, which every change of a sensor changes. A batch reads it under a
lock that lets no sensor be deleted; while it is that of the batch before, the cache is valid.
"""

from collections.abc import Mapping
from uuid import UUID

from django.conf import settings

from monitoring.models import BlockedSensor, Sensor
from monitoring.models.sensor import Expectation

# What a reading says of its sensor: kind and unit.
Named = tuple[str | None, str | None]
# sensor, type, unit: what decides, with the clock, whether a reading is taken.
Key = tuple[int, str | None, str | None]

REMEMBERED = 100_000


class Accepted:
    """A key whose readings are taken. `unit`: as COPY has it, `said`: as it reads; `days`: how long its
    sensor's are kept, where that is the sensor's own matter."""

    __slots__ = ("days", "said", "unit")

    def __init__(self, unit: str, days: int | None) -> None:
        self.said = unit
        text = unit.encode()
        self.unit = len(text).to_bytes(4) + text
        self.days = days


class Sensors:
    """Of one version. `expected` has at least those that were asked for and exist; `accepted` is what the
    fast way has found out about them (monitoring.ingest.columns)."""

    def __init__(self, version: UUID | None = None) -> None:
        self.version = version
        self.expected: dict[int, Expectation] = {}
        self.accepted: dict[Key, Accepted] = {}
        self._blocked: frozenset[int] | None = None

    def is_blocked(self, sensor_id: int) -> bool:
        """Whether it is an id that somebody does not want to hear of."""
        if self._blocked is None:
            self._blocked = frozenset(BlockedSensor.objects.values_list("pk", flat=True))
        return sensor_id in self._blocked

    def learn(self, named: Mapping[int, Named]) -> None:
        """Looks up those among the named that are not known, and makes those that are not there, where that
        is asked for."""
        missing = named.keys() - self.expected.keys()
        if not missing:
            return
        self.expected |= Sensor.objects.expectations(missing)
        unknown = missing - self.expected.keys()
        if unknown and settings.AUTO_REGISTER_SENSORS:
            unknown = {number for number in unknown if not self.is_blocked(number)}
        if unknown and settings.AUTO_REGISTER_SENSORS:
            # Where this transaction is not committed, they are not there.
            forget()
            made = {
                number: (kind or "", unit or "")
                for number, (kind, unit) in named.items()
                if number in unknown
            }
            Sensor.objects.register_named(made, settings.AUTO_REGISTER_MAX_SENSORS)
            self.expected |= Sensor.objects.expectations(unknown)


_sensors = Sensors()


def forget() -> None:
    global _sensors
    _sensors = Sensors()


def held() -> Sensors:
    """The sensors as they are. Call it in a transaction: until that ends none of them can be deleted."""
    global _sensors
    version = Sensor.objects.hold()
    if version != _sensors.version or len(_sensors.expected) + len(_sensors.accepted) > REMEMBERED:
        _sensors = Sensors(version)
    return _sensors
