"""Where a limit lies, to the character and the microsecond, and what is said of it."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from monitoring.decoders import Code, Refusal, check, decode
from monitoring.decoders.reading import MAX_DETAIL_CHARS, Reading, storable
from monitoring.models.sensor import Expectation

NOW = datetime(2026, 1, 28, 15, tzinfo=UTC)
OLDEST = NOW - timedelta(days=1)
MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize("length", [1, MAX_DETAIL_CHARS - 1, MAX_DETAIL_CHARS])
def test_a_detail_that_fits_stays(length: int) -> None:
    assert storable("x" * length) == "x" * length


@pytest.mark.parametrize("length", [MAX_DETAIL_CHARS + 1, 4 * MAX_DETAIL_CHARS])
def test_a_longer_one_is_cut(length: int) -> None:
    assert storable("x" * length) == "x" * (MAX_DETAIL_CHARS - 1) + "…"


def detail_of(value: object) -> str:
    (refusal,) = decode(json.dumps({"sensor_id": 1, "value": value}, ensure_ascii=False).encode())
    assert isinstance(refusal, Refusal)
    return refusal.detail


@pytest.mark.parametrize("length", [1, 57, 58])
def test_what_was_found_is_shown_whole(length: int) -> None:
    assert detail_of("é" * length).endswith('found "' + "é" * length + '"')


def test_what_was_found_is_cut_after_sixty_characters() -> None:
    assert detail_of("é" * 59).endswith('found "' + "é" * 58 + "…")


def judged(
    ts: datetime | None, received: datetime = NOW, kind: str | None = None, expected: str = ""
) -> tuple[Code, str] | None:
    reading = Reading(sensor_id=1, value=1.0, kind=kind, unit=None, ts=ts, index=None)
    return check(reading, Expectation(expected, "", True), received, False, OLDEST)


def test_the_oldest_that_is_taken() -> None:
    assert judged(OLDEST) is None
    assert judged(None, received=OLDEST) is None
    found = judged(OLDEST - MOMENT)
    assert found is not None
    assert found[0] is Code.TOO_OLD
    assert found[1].startswith('"ts" is ')
    found = judged(None, received=OLDEST - MOMENT)
    assert found is not None
    assert found[0] is Code.TOO_OLD
    assert found[1].startswith("it was received at ")


@pytest.mark.parametrize(
    ("sent", "expected", "alike"), [("a", "b", False), ("b", "a", False), ("µ", "μ", True)]
)
def test_two_kinds_that_look_alike_are_told_apart(sent: str, expected: str, alike: bool) -> None:
    found = judged(NOW, kind=sent, expected=expected)
    assert found is not None
    assert found[0] is Code.TYPE_MISMATCH
    assert ("look alike" in found[1]) is alike
