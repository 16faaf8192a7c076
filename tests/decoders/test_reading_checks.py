"""A reading held against its sensor and the clock: which fault is named, and what the detail says."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from monitoring.decoders import Code, Reading, check
from monitoring.decoders.validate import _fault

NOW = datetime(2026, 1, 28, 15, 7, 55, tzinfo=UTC)
OLDEST = NOW - timedelta(days=365)


@dataclass
class Light:
    kind: str = "light"
    unit: str = "V"
    is_active: bool = True


def reading(kind: str | None = "light", unit: str | None = "V", ts: datetime | None = None) -> Reading:
    return Reading(sensor_id=3, value=2.57, kind=kind, unit=unit, ts=ts, index=None)


def test_it_works() -> None:
    assert check(reading(), Light(), NOW, retained=False, oldest=OLDEST) is None


def test_each_fault_is_named_before_the_next() -> None:
    """What a replay cannot mend comes first, then what a person can, as they would mend it."""
    ahead, old = NOW + timedelta(hours=1), OLDEST - timedelta(days=1)

    def bad(ts: datetime | None = None) -> Reading:
        return reading(kind="heat", unit="K", ts=ts)

    steps = [
        (bad(), None, old, True, Code.RETAINED),
        (bad(ts=ahead), None, NOW, True, Code.CLOCK_AHEAD),
        (bad(), None, old, False, Code.TOO_OLD),
        (bad(ts=old), None, NOW, True, Code.TOO_OLD),
        (bad(), None, NOW, False, Code.UNKNOWN_SENSOR),
        (bad(), Light(is_active=False), NOW, False, Code.INACTIVE_SENSOR),
        (bad(), Light(), NOW, False, Code.TYPE_MISMATCH),
        (reading(unit="K"), Light(), NOW, False, Code.UNIT_MISMATCH),
    ]

    for subject, sensor, received_at, retained, code in steps:
        fault = check(subject, sensor, received_at, retained, OLDEST)
        assert fault is not None
        assert fault[0] is code


@pytest.mark.parametrize("sensor", [Light(kind=""), Light(unit=""), Light(kind="", unit="")])
def test_what_is_not_set_on_the_sensor_is_not_checked(sensor: Light) -> None:
    subject = reading(kind=sensor.kind or "co2", unit=sensor.unit or "ppm")

    assert check(subject, sensor, NOW, retained=False, oldest=OLDEST) is None


def test_what_is_not_sent_is_not_checked() -> None:
    assert check(reading(kind=None, unit=None), Light(), NOW, retained=False, oldest=OLDEST) is None


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        ("\u2103", "\u00b0C"),
        ("\u00b5g/m\u00b3", "\u03bcg/m\u00b3"),
        ("k\u2126", "k\u03a9"),
        ("m2", "m\u00b2"),
    ],
)
def test_spellings_of_one_unit_are_the_same(sent: str, known: str) -> None:
    for reading_unit, sensor_unit in ((sent, known), (known, sent)):
        subject, sensor = reading(unit=reading_unit), Light(unit=sensor_unit)

        assert check(subject, sensor, NOW, retained=False, oldest=OLDEST) is None


@pytest.mark.parametrize("sent", ["mV", "v", "", "V "])
def test_units_that_differ_still_do(sent: str) -> None:
    fault = check(reading(unit=sent), Light(), NOW, retained=False, oldest=OLDEST)

    assert fault is not None
    assert fault[0] is Code.UNIT_MISMATCH


def test_the_detail_of_a_look_alike_shows_the_difference() -> None:
    fault = check(reading(kind="lig\ufb01t"), Light(kind="ligfit"), NOW, retained=False, oldest=OLDEST)

    assert fault is not None
    assert fault[0] is Code.TYPE_MISMATCH
    assert r"\ufb01" in fault[1]


def test_the_fast_expression_and_the_detailed_walk_agree() -> None:
    moments = [None, NOW, NOW + timedelta(minutes=5), NOW + timedelta(minutes=5, microseconds=1)]
    moments += [OLDEST, OLDEST - timedelta(microseconds=1)]
    for ts in moments:
        for received_at in (NOW, OLDEST - timedelta(microseconds=1)):
            for retained in (False, True):
                for sensor in (
                    None,
                    Light(),
                    Light(kind="", unit=""),
                    Light(unit="K"),
                    Light(is_active=False),
                ):
                    for kind in (None, "", "light", "heat"):
                        subject = reading(kind=kind, unit="V", ts=ts)
                        given = (subject, sensor, received_at, retained, OLDEST)
                        assert check(*given) == _fault(*given)
