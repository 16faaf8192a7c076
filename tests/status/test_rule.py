"""What a sensor's status is, by the times alone."""

from datetime import UTC, datetime, timedelta
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.models import SensorStatus
from monitoring.status import rule
from monitoring.status.rule import Facts, Outage, deadline, judge, learned, status_at

START = datetime(2026, 3, 1, tzinfo=UTC)
WORSE = {"ok": 0, "late": 1, "silent": 2}

seconds = st.floats(-1e6, 1e6)
intervals = st.none() | st.floats(0.001, 1e5)
moments = seconds.map(lambda number: START + timedelta(seconds=number))
outages = st.none() | st.tuples(moments, moments).map(lambda two: Outage(min(two), max(two)))
facts = st.builds(Facts, st.just(True), moments, intervals)


def after(number: float) -> datetime:
    return START + timedelta(seconds=number)


def test_the_model_has_the_same_names() -> None:
    names = {rule.OK, rule.LATE, rule.SILENT, rule.NEVER, rule.OFF}
    assert set(SensorStatus.Status.values) == names


@pytest.mark.parametrize(
    ("age", "status"),
    [(-200, "ok"), (0, "ok"), (180, "ok"), (181, "late"), (600, "late"), (601, "silent"), (1e7, "silent")],
)
def test_it_works(age: float, status: str) -> None:
    assert status_at(after(age), Facts(True, START, 60)) == status


def test_one_that_is_not_active_is_off_whatever_it_sent() -> None:
    assert status_at(START, Facts(False, START, 60)) == "off"
    assert status_at(START, Facts(False, None, None)) == "off"


def test_one_without_a_reading_was_never_seen() -> None:
    assert status_at(START, Facts(True, None, 60)) == "never"


def test_ten_readings_a_second_do_not_make_a_second_of_silence_late() -> None:
    assert status_at(after(2.9), Facts(True, START, 0.1)) == "ok"


def test_while_nobody_knows_the_interval_an_hour_is_assumed() -> None:
    assert status_at(after(3 * 3600), Facts(True, START, None)) == "ok"
    assert status_at(after(10 * 3600 + 1), Facts(True, START, None)) == "silent"


@pytest.mark.parametrize(
    ("outage", "end"),
    [
        ((100, 400), 480),  # all of it lies within the 180 s
        ((-100, 50), 230),  # the reading came in it
        ((180, 400), 180),  # it was late before
        ((-200, -100), 180),  # over when the reading came
    ],
)
def test_time_in_which_we_took_nothing_does_not_count(outage: tuple[int, int], end: int) -> None:
    span = Outage(after(outage[0]), after(outage[1]))
    assert deadline(START, 60, 3, span) == after(end)


def test_too_few_gaps_tell_of_no_interval() -> None:
    assert learned(4, 60.0) is None
    assert learned(5, 60.0) == 60
    assert learned(0, None) is None
    assert learned(50, 0.1) == 1


@given(st.lists(st.floats(0.001, 1e6), min_size=5, max_size=50))
def test_what_is_learned_lies_among_the_gaps_or_is_a_second(gaps: list[float]) -> None:
    found = learned(len(gaps), median(gaps))
    assert found is not None
    assert max(min(gaps), 1) - 0.001 <= found <= max(*gaps, 1) + 0.001


@given(facts, moments, moments, outages)
def test_with_time_alone_nothing_gets_better(
    known: Facts, one: datetime, other: datetime, outage: Outage | None
) -> None:
    early, late = sorted([one, other])
    assert WORSE[status_at(early, known, outage)] <= WORSE[status_at(late, known, outage)]


@given(facts, moments, outages)
def test_an_outage_accuses_nobody(known: Facts, moment: datetime, outage: Outage | None) -> None:
    assert WORSE[status_at(moment, known, outage)] <= WORSE[status_at(moment, known)]


befores = st.sampled_from(SensorStatus.Status.values)


@given(facts, moments, st.none() | moments, befores, outages)
def test_nobody_is_accused_of_what_is_not_known(
    known: Facts, now: datetime, until: datetime | None, before: str, outage: Outage | None
) -> None:
    found = judge(now, until, before, known, outage)
    worst = WORSE.get(before, 0) if until is None else WORSE[status_at(until, known, outage)]
    assert WORSE[found.status] <= max(worst, WORSE.get(before, 0))
    assert WORSE[found.status] <= WORSE[status_at(now, known, outage)]


@given(facts, moments, befores, outages)
def test_where_all_is_known_it_is_what_it_seems(
    known: Facts, now: datetime, before: str, outage: Outage | None
) -> None:
    found = judge(now, now, before, known, outage)
    assert not found.held_back
    assert found.status == status_at(now, known, outage)


@given(facts, moments, befores, outages)
def test_until_it_is_due_it_holds(known: Facts, now: datetime, before: str, outage: Outage | None) -> None:
    """But for the shortest lease: nobody is looked at all the time."""
    found = judge(now, now, before, known, outage)
    assert found.due_at is not None
    assert found.due_at >= now + rule.SHORTEST_LEASE
    if found.due_at > now + rule.SHORTEST_LEASE:
        assert status_at(found.due_at, known, outage) == found.status


@given(facts, moments, moments, befores)
def test_who_is_looked_at_when_it_is_due_ends_as_it_is(
    known: Facts, now: datetime, end: datetime, before: str
) -> None:
    """Whatever the looks, the last of them says what the times say."""
    now, end = sorted([now, end])
    for _ in range(20):
        found = judge(now, now, before, known)
        if found.due_at is None or found.due_at > end:
            break
        now, before = found.due_at, found.status
    assert found.status == status_at(now, known)
