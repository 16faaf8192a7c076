"""What a rule makes of samples: each phase, each edge, and that it does not matter where one look ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.alerts.rule import Kind, Phase, Rule, Sample, Span, State, Verdict, excess, fold, verdict_of

PAST, BETWEEN, CLEAR = Verdict.PAST, Verdict.BETWEEN, Verdict.CLEAR
ABOVE = Rule(Kind.ABOVE, high=25.0)
HYSTERESIS = Rule(Kind.ABOVE, high=25.0, clear_high=20.0)


def samples(rule: Rule, *readings: tuple[int, float]) -> list[Sample]:
    return [Sample(at, verdict_of(rule, value), value) for at, value in readings]


def spans(rule: Rule, *readings: tuple[int, float], until: int = 0) -> list[Span]:
    return fold(rule, State(), samples(rule, *readings), until)[0]


def times(rule: Rule, *readings: tuple[int, float], until: int = 0) -> list[tuple[int, int, int | None]]:
    return [one[:3] for one in spans(rule, *readings, until=until)]


@pytest.mark.parametrize(
    ("rule", "value", "verdict"),
    [
        (ABOVE, 25.0, CLEAR),
        (ABOVE, 25.000001, PAST),
        (HYSTERESIS, 25.0, BETWEEN),
        (HYSTERESIS, 20.000001, BETWEEN),
        (HYSTERESIS, 20.0, CLEAR),
        (Rule(Kind.BELOW, low=0.0), 0.0, CLEAR),
        (Rule(Kind.BELOW, low=0.0), -0.000001, PAST),
        (Rule(Kind.BELOW, low=0.0, clear_low=2.0), 1.0, BETWEEN),
        (Rule(Kind.BELOW, low=0.0, clear_low=2.0), 2.0, CLEAR),
        (Rule(Kind.OUTSIDE, high=8.0, low=2.0), 2.0, CLEAR),
        (Rule(Kind.OUTSIDE, high=8.0, low=2.0), 8.0, CLEAR),
        (Rule(Kind.OUTSIDE, high=8.0, low=2.0), 1.0, PAST),
        (Rule(Kind.OUTSIDE, high=8.0, low=2.0), 9.0, PAST),
        (Rule(Kind.OUTSIDE, high=8.0, low=2.0, clear_high=7.0, clear_low=3.0), 7.5, BETWEEN),
        (Rule(Kind.OUTSIDE, high=8.0, low=2.0, clear_high=7.0, clear_low=3.0), 2.5, BETWEEN),
        (Rule(Kind.OUTSIDE, high=8.0, low=2.0, clear_high=7.0, clear_low=3.0), 3.0, CLEAR),
        # Cleared at another value on one side alone.
        (Rule(Kind.OUTSIDE, high=8.0, low=2.0, clear_high=7.0), 2.0, CLEAR),
    ],
)
def test_a_value_at_a_threshold_is_not_past_it(rule: Rule, value: float, verdict: Verdict) -> None:
    assert verdict_of(rule, value) == verdict


def test_it_fires_with_the_first_value_past_and_is_resolved_by_the_first_that_is_clear() -> None:
    [span] = spans(ABOVE, (10, 20), (20, 26), (30, 31), (40, 28), (50, 24), (60, 23))
    assert span == Span(20, 20, 50, value=26, peak=31, last=24, peak_at=30)


def test_of_the_same_peak_twice_the_first_counts() -> None:
    [span] = spans(ABOVE, (10, 26), (20, 30), (30, 30))
    assert (span.peak, span.peak_at) == (30, 20)


def test_a_peak_may_lie_below() -> None:
    [span] = spans(Rule(Kind.OUTSIDE, high=8.0, low=2.0), (10, 9), (20, -3), (30, 12))
    assert (span.value, span.peak, span.peak_at) == (9, -3, 20)


def test_between_the_thresholds_it_goes_on_and_does_not_begin() -> None:
    assert times(HYSTERESIS, (0, 22), (10, 26), (20, 22), (30, 20), (40, 22)) == [(10, 10, 30)]


@pytest.mark.parametrize(
    ("readings", "until", "expected"),
    [
        ([(0, 26)], 4, []),
        ([(0, 26)], 5, [(0, 5, None)]),
        ([(0, 26), (4, 20)], 9, []),
        # It held until then: a value holds until the next one.
        ([(0, 26), (5, 20)], 5, [(0, 5, 5)]),
        # Neither past nor clear: it has to begin again.
        ([(0, 26), (3, 25), (4, 26), (8, 26)], 8, []),
        ([(0, 26), (3, 25), (4, 26), (9, 26)], 9, [(4, 9, None)]),
        # By a reading that is later than what is known by time.
        ([(0, 26), (7, 26)], 2, [(0, 5, None)]),
    ],
)
def test_for(
    readings: list[tuple[int, float]], until: int, expected: list[tuple[int, int, int | None]]
) -> None:
    assert times(Rule(Kind.ABOVE, high=25.0, for_us=5), *readings, until=until) == expected


@pytest.mark.parametrize(
    ("readings", "until", "expected"),
    [
        ([(0, 26), (10, 20)], 14, [(0, 0, None)]),
        ([(0, 26), (10, 20)], 15, [(0, 0, 15)]),
        ([(0, 26), (10, 20), (14, 26)], 99, [(0, 0, None)]),
        # Exactly as it ends the next one begins.
        ([(0, 26), (10, 20), (15, 26)], 99, [(0, 0, 15), (15, 15, None)]),
        # What is clear again and again is clear since the first time.
        ([(0, 26), (10, 20), (13, 21), (16, 20)], 16, [(0, 0, 15)]),
        ([(0, 26), (10, 20), (40, 26)], 40, [(0, 0, 15), (40, 40, None)]),
    ],
)
def test_keep(
    readings: list[tuple[int, float]], until: int, expected: list[tuple[int, int, int | None]]
) -> None:
    assert times(Rule(Kind.ABOVE, high=25.0, keep_us=5), *readings, until=until) == expected


def test_a_value_between_does_not_end_what_is_clearing_nor_prolong_it() -> None:
    rule = Rule(Kind.ABOVE, high=25.0, clear_high=20.0, keep_us=10)
    assert times(rule, (0, 26), (10, 19), (15, 22), (30, 22), until=40) == [(0, 0, 20)]


def test_what_fires_again_was_cleared_by_nothing() -> None:
    [span] = spans(Rule(Kind.ABOVE, high=25.0, keep_us=5), (0, 26), (10, 20), (12, 27))
    assert (span.last, span.peak) == (None, 27)


def test_a_state_says_when_it_changes_by_time_and_since_when_that_is_open() -> None:
    rule = Rule(Kind.ABOVE, high=25.0, for_us=5, keep_us=7)
    for readings, phase, due_at, unsettled_from in (
        ([(0, 20)], Phase.NORMAL, None, None),
        ([(0, 26)], Phase.PENDING, 5, 0),
        ([(0, 26), (6, 27)], Phase.FIRING, None, None),
        ([(0, 26), (6, 20)], Phase.CLEARING, 13, 6),
    ):
        _spans, state = fold(rule, State(), samples(rule, *readings), 0)
        assert (state.phase, state.due_at(rule), state.unsettled_from) == (phase, due_at, unsettled_from)


def test_what_is_pending_is_no_span() -> None:
    found, state = fold(Rule(Kind.ABOVE, high=25.0, for_us=5), State(), [Sample(3, PAST, 26.0)], 4)
    assert found == []
    assert state.span == Span(3, 8, value=26.0, peak=26.0, peak_at=3)


def test_nothing_lies_past_the_threshold_of_a_stuck_value() -> None:
    assert excess(Rule(Kind.STUCK, high=0.5), 80.0) == 0.0
    assert excess(Rule(Kind.SILENCE, limit_us=5), None) == 0.0


_times = st.sampled_from([0, 1, 2, 3, 5])
_rules = st.builds(
    Rule, st.just(Kind.ABOVE), high=st.just(5.0), clear_high=st.sampled_from([None, 3.0]),
    for_us=_times, keep_us=_times,
)  # fmt: skip
_readings = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 9).map(float)), unique_by=lambda one: one[0], max_size=20
).map(sorted)


@given(_rules, _readings, st.lists(st.integers(0, 60)), st.integers(0, 60))
def test_in_pieces_as_at_once(
    rule: Rule, readings: list[tuple[int, float]], cuts: list[int], until: int
) -> None:
    """A look ends when somebody looks: that leaves no trace. At each cut all that was before is known."""
    until = max([until, *(at for at, _value in readings)])
    at_once = fold(rule, State(), samples(rule, *readings), until)
    found, state, done = [], State(), -1
    for cut in [*sorted(cut for cut in cuts if cut < until), until]:
        piece = [one for one in samples(rule, *readings) if done < one.at <= cut]
        ended, state = fold(rule, state, piece, cut)
        found += [one for one in ended if one.resolved_at is not None]
        done = cut
    if state.phase in (Phase.FIRING, Phase.CLEARING):
        assert state.span is not None
        found.append(state.span)
    assert (found, state) == at_once


@given(_rules, _readings, st.integers(0, 60))
def test_spans_are_apart_and_each_has_its_times_in_order(
    rule: Rule, readings: list[tuple[int, float]], until: int
) -> None:
    end = -1
    for span in spans(rule, *readings, until=until):
        assert end <= span.since
        assert span.fired_at == span.since + rule.for_us
        assert span.resolved_at is None or span.fired_at <= span.resolved_at > span.since
        assert span.peak is not None
        assert span.peak >= (span.value or 0.0) > 5.0
        end = 10_000 if span.resolved_at is None else span.resolved_at
