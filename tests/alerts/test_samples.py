"""What readings say of a rate, a stuck value and a silence; what a look sees that begins in the middle."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.alerts.rule import Kind, Phase, Rule, State, Verdict, verdict_of
from monitoring.alerts.samples import _OF, MINUTE, Evaluated, Outage, Reading, deadline, evaluate
from tests.alerts.arrivals import LATER, before, outages, rules, series


def look(
    rule: Rule, *readings: tuple[int, float], until: int = 0, start: int = 0, away: tuple[Outage, ...] = ()
) -> Evaluated:
    return evaluate(rule, State(), [Reading(*one) for one in readings], until, start, away)


def times(
    rule: Rule, *readings: tuple[int, float], until: int = 0, away: tuple[Outage, ...] = ()
) -> list[tuple[int, int | None]]:
    return [(one.since, one.resolved_at) for one in look(rule, *readings, until=until, away=away).spans]


# --- rate ----------------------------------------------------------------------------------------

RATE = Rule(Kind.RATE, high=2.0, low=-2.0, window_us=5 * MINUTE)


def minutes(*values: float) -> list[tuple[int, float]]:
    return [(place * MINUTE, value) for place, value in enumerate(values)]


def test_a_rate_is_per_minute_over_the_window() -> None:
    # 10 in five minutes is 2 a minute, which is not past it.
    assert times(RATE, *minutes(0, 0, 0, 0, 0, 10)) == []
    [span] = look(RATE, *minutes(0, 0, 0, 0, 0, 10.5, 10.5, 10.5, 10.5, 10.5, 10.5)).spans
    assert (span.since, span.resolved_at) == (5 * MINUTE, 10 * MINUTE)
    assert (span.value, span.peak, span.last) == (2.1, 2.1, 0.0)


def test_a_fall_is_a_rate_too() -> None:
    assert times(RATE, *minutes(20, 20, 20, 20, 20, 9)) == [(5 * MINUTE, None)]


def test_before_a_whole_window_there_is_no_rate() -> None:
    """The readings of one message stand a microsecond apart: any noise would be a million a minute."""
    assert times(RATE, (0, 0.0), (1, 0.1), (2, 0.0), (4 * MINUTE, 100.0)) == []


def test_readings_further_apart_than_the_window_have_a_rate() -> None:
    assert times(Rule(Kind.RATE, high=2.0, window_us=MINUTE), (0, 0.0), (MINUTE + 1, 10.0)) == [
        (MINUTE + 1, None)
    ]


def test_values_at_the_end_of_what_a_float_holds() -> None:
    most = sys.float_info.max
    [span] = look(RATE, (0, -most), (5 * MINUTE, most)).spans
    assert span.peak == most
    assert math.isfinite(span.peak)


# --- stuck ---------------------------------------------------------------------------------------

STUCK = Rule(Kind.STUCK, high=0.5, window_us=3 * MINUTE)


def test_it_is_stuck_once_a_whole_window_lies_within_the_tolerance() -> None:
    [span] = look(STUCK, *minutes(1, 20, 20.5, 20.25, 20, 20.5, 21)).spans
    # At the fourth minute the window begins with the first 20.
    assert (span.since, span.resolved_at) == (4 * MINUTE, 6 * MINUTE)
    assert (span.value, span.last) == (20, 21)


def test_without_a_tolerance_it_is_stuck_at_one_value() -> None:
    rule = Rule(Kind.STUCK, window_us=2 * MINUTE)
    assert times(rule, *minutes(7, 7, 7, 7.0001)) == [(2 * MINUTE, 3 * MINUTE)]


def test_a_value_holds_until_the_next_one() -> None:
    """What was measured before the window's begin stands in it, too."""
    assert times(STUCK, (0, 20), (2 * MINUTE, 20), (4 * MINUTE, 20)) == [(4 * MINUTE, None)]
    assert times(STUCK, (0, 30), (2 * MINUTE, 20), (4 * MINUTE, 20)) == []


def test_one_reading_alone_is_not_stuck() -> None:
    assert times(STUCK, (0, 20), until=100 * MINUTE) == []


# --- silence -------------------------------------------------------------------------------------

SILENCE = Rule(Kind.SILENCE, limit_us=10)


@pytest.mark.parametrize(
    ("readings", "until", "expected"),
    [
        ([(0, 1.0)], 9, []),
        ([(0, 1.0)], 10, [(10, None)]),
        ([(0, 1.0), (10, 1.0)], 15, []),
        ([(0, 1.0), (11, 1.0)], 15, [(10, 11)]),
        ([(0, 1.0), (30, 1.0)], 45, [(10, 30), (40, None)]),
        ([], 99, []),
    ],
)
def test_silence(
    readings: list[tuple[int, float]], until: int, expected: list[tuple[int, int | None]]
) -> None:
    assert times(SILENCE, *readings, until=until) == expected


def test_a_silence_has_no_value_but_that_of_the_reading_that_ended_it() -> None:
    [span] = look(SILENCE, (0, 1.0), (30, 2.0), until=30).spans
    assert (span.value, span.peak, span.last) == (None, None, 2.0)


def test_a_gap_is_no_silence_while_what_was_sent_in_it_may_wait() -> None:
    """As when a backlog is stored out of order: what is newer comes first."""
    done = look(SILENCE, (0, 1.0), (30, 1.0), until=5)
    assert (done.spans, done.due_at, done.unsettled_from) == ([], 10, 10)


def test_it_says_when_it_will_be_silent() -> None:
    done = look(SILENCE, (0, 1.0), (7, 1.0), until=8)
    assert (done.spans, done.due_at, done.unsettled_from) == ([], 17, 17)
    silent = look(SILENCE, (0, 1.0), until=10)
    assert (silent.state.phase, silent.due_at, silent.unsettled_from) == (Phase.FIRING, None, None)


def test_what_is_kept_may_be_silent_again_before_it_ends() -> None:
    rule = Rule(Kind.SILENCE, limit_us=10, keep_us=50)
    done = look(rule, (0, 1.0), (30, 1.0), until=31)
    assert (done.state.phase, done.due_at, done.unsettled_from) == (Phase.CLEARING, 40, 30)


def test_a_silence_is_as_old_as_it_is_whoever_looks() -> None:
    assert look(SILENCE, (0, 1.0), until=1000, start=500).spans[0].since == 10
    assert look(SILENCE, (0, 1.0), (600, 1.0), until=605, start=500).spans[0][:3] == (10, 10, 600)
    # And one that was over is not asked for.
    assert look(SILENCE, (0, 1.0), (400, 1.0), (499, 1.0), (505, 1.0), until=505, start=500).spans == [
        *look(SILENCE, (499, 1.0), (505, 1.0), until=505, start=500).spans
    ]


@pytest.mark.parametrize(
    ("last", "away", "expected"),
    [
        (0, [], 10),
        (0, [(2, 5)], 13),
        (3, [(2, 5)], 15),
        (5, [(2, 5)], 15),
        (0, [(10, 20)], 10),
        (0, [(9, 20)], 21),
        (0, [(2, 5), (12, 20)], 21),
        (0, [(2, 5), (13, 20)], 13),
    ],
)
def test_time_in_which_we_took_nothing_does_not_count(
    last: int, away: list[tuple[int, int]], expected: int
) -> None:
    assert deadline(last, 10, [Outage(*one) for one in away]) == expected


def test_no_silence_while_we_were_away() -> None:
    readings = [(0, 1.0), (8, 1.0), (40, 1.0)]
    assert times(SILENCE, *readings, until=45) == [(18, 40)]
    assert times(SILENCE, *readings, until=45, away=(Outage(10, 39),)) == []


@given(series(), outages(), st.integers(1, 12))
def test_deadlines_are_those_of_all_outages(readings: list[Reading], away: list[Outage], limit: int) -> None:
    """A look drops outages that are over; that changes none of them."""
    rule = Rule(Kind.SILENCE, limit_us=limit)
    ends = [deadline(one.at, limit, away) for one in readings]
    expected = [
        (end, following.at) for end, following in zip(ends, readings[1:], strict=False) if end < following.at
    ]
    if readings:
        expected.append((ends[-1], None))
    assert times(rule, *readings, until=LATER, away=tuple(away)) == expected


# --- all kinds -----------------------------------------------------------------------------------


def naive(rule: Rule, readings: list[Reading]) -> list[tuple[int, int]]:
    """(moment, verdict) of a rate or a stuck value, told without a window that moves."""
    found = []
    for place, (at, value) in enumerate(readings):
        older = [one for one in readings[:place] if one.at <= at - rule.window_us]
        verdict = Verdict.CLEAR
        if older and rule.kind == Kind.RATE:
            verdict = verdict_of(rule, (value - older[-1].value) / ((at - older[-1].at) / MINUTE))
        elif older:
            values = [one.value for one in readings[: place + 1] if one.at >= older[-1].at]
            verdict = Verdict.PAST if max(values) - min(values) <= (rule.high or 0) else Verdict.CLEAR
        found.append((at, int(verdict)))
    return found


@given(rules((Kind.RATE, Kind.STUCK)), series())
def test_windows_that_move_say_what_each_window_says(rule: Rule, readings: list[Reading]) -> None:
    assert [(one.at, int(one.verdict)) for one in _OF[rule.kind](rule, readings)] == naive(rule, readings)


@given(rules(), series(), st.integers(0, 90), st.integers(0, 90))
def test_a_look_goes_on_where_the_one_before_ended(
    rule: Rule, readings: list[Reading], cut: int, until: int
) -> None:
    """With the readings that it asks for and no more, from the state that was left."""
    until = max(until, cut, *(one.at for one in readings), 0)
    whole = evaluate(rule, State(), readings, until, 0)
    first = evaluate(rule, State(), [one for one in readings if one.at < cut], cut - 1, 0)
    second = evaluate(rule, first.state, before(rule, readings, cut), until, cut)
    ended = [one for one in first.spans if one.resolved_at is not None]
    assert (ended + second.spans, second.state) == (whole.spans, whole.state)
    assert (second.due_at, second.unsettled_from) == (whole.due_at, whole.unsettled_from)
