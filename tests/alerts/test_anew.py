"""THE property of alerts: however readings arrive, the same is kept as if all had been there at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.alerts.anew import work_out
from monitoring.alerts.match import Matched
from monitoring.alerts.rule import Kind, Rule, Span, State
from monitoring.alerts.samples import Outage, Reading
from tests.alerts.arrivals import LATER, Incident, Memory, at_once, moments, outages, rules, series, values
from tests.examples import examples


@settings(max_examples=examples(300))
@given(st.data(), rules(), series(), outages(), st.integers(0, 70))
def test_in_any_order_and_grouping(
    data: st.DataObject, rule: Rule, readings: list[Reading], away: list[Outage], active_from: int
) -> None:
    """With duplicates, groups that a worker died before it evaluated, and an `until` that comes and goes."""
    away = away if rule.kind == Kind.SILENCE else []
    memory = Memory(rule, active_from, away)
    memory.look(active_from, data.draw(st.none() | moments))
    order = (
        data.draw(st.permutations(readings + data.draw(st.lists(st.sampled_from(readings)))))
        if readings
        else []
    )
    lost: list[int] = []
    while order:
        size = data.draw(st.integers(1, 6))
        group, order = order[:size], order[size:]
        changed_from = memory.store(group)
        if changed_from is not None and data.draw(st.booleans()):
            lost.append(changed_from)  # its worker was killed: the sure path finds it later
        else:
            memory.look(changed_from, data.draw(st.none() | moments))
        if lost and data.draw(st.booleans()):
            memory.look(lost.pop(0), data.draw(st.none() | moments))
    if lost:
        memory.look(min(lost), data.draw(st.none() | moments))
    memory.look(None, LATER)
    assert memory.spans == at_once(rule, readings, active_from, outages=away)
    assert memory.check_from is None or memory.due_at > LATER


@settings(max_examples=examples(300))
@given(st.data(), rules(), series(), st.integers(0, 70))
def test_what_is_deleted_or_said_anew(
    data: st.DataObject, rule: Rule, readings: list[Reading], active_from: int
) -> None:
    memory = Memory(rule, active_from)
    memory.store(readings)
    memory.look(0, LATER)
    lost: list[int] = []
    for _ in range(data.draw(st.integers(1, 4))):
        gone = (
            data.draw(st.lists(st.sampled_from(sorted(memory.readings)), max_size=4))
            if memory.readings
            else []
        )
        changed = [memory.delete(gone)]
        changed.append(memory.store([Reading(data.draw(moments), data.draw(values))]))
        known = [at for at in changed if at is not None]
        if known and data.draw(st.booleans()):
            lost.append(min(known))
            continue
        memory.look(min(known, default=None), LATER)
        if not lost:
            assert memory.spans == at_once(
                rule, [Reading(*one) for one in memory.readings.items()], active_from
            )
    if lost:
        memory.look(min(lost), LATER)
    assert memory.spans == at_once(rule, [Reading(*one) for one in memory.readings.items()], active_from)


# --- what a look that comes before another's may get wrong ---------------------------------------


@pytest.mark.parametrize(
    ("rule", "first", "unseen", "then"),
    [
        # What ended it was not seen: it would have gone to what begins after that, or been withdrawn.
        (Rule(Kind.ABOVE, high=4, for_us=2), {23: 5, 76: 0}, {48: 0}, {50: 7}),
        (Rule(Kind.ABOVE, high=4, for_us=8, keep_us=1), {21: 5, 46: 2}, {39: 3}, {46: 2}),
        # It had not fired where the look begins, and never did.
        (Rule(Kind.ABOVE, high=4, for_us=8), {50: 5, 90: 0}, {55: 0}, {60: 5}),
        # It had ended: what was not seen prolongs it.
        (Rule(Kind.ABOVE, high=4, keep_us=13), {26: 5, 55: 3, 68: 2}, {65: 5}, {78: 5}),
        # It goes back to its beginning for its peak, past what was not seen.
        (Rule(Kind.BELOW, low=0, keep_us=1), {21: -1, 30: -2}, {26: 4}, {29: 4}),
    ],
)
def test_a_worker_died_before_it_looked_and_another_looks_at_what_came_later(
    rule: Rule, first: dict[int, float], unseen: dict[int, float], then: dict[int, float]
) -> None:
    for until in (None, LATER):
        memory = Memory(rule)
        memory.look(memory.store([Reading(*one) for one in first.items()]), until)
        lost = memory.store([Reading(*one) for one in unseen.items()])
        memory.store([Reading(*one) for one in then.items()])
        memory.look(min(then), until)
        assert all(one.resolved_at is None or one.resolved_at > one.fired_at for one in memory.spans)
        memory.look(lost, until)
        memory.look(None, LATER)
        assert memory.spans == at_once(rule, [Reading(*one) for one in memory.readings.items()])
        # What was told of is the same one still.
        assert memory.withdrawn == 0


# --- what a look that begins in the middle may get wrong -----------------------------------------

ABOVE = Rule(Kind.ABOVE, high=25.0)


def kept_after(
    rule: Rule, first: dict[int, float], then: dict[int, float | None], until: int | None = None
) -> Memory:
    """Looks twice: at what is there at first, then at what came, or went (None), later. In the end it is what
    one look at all of it would have found."""
    until = LATER if until is None else until
    memory = Memory(rule)
    memory.store([Reading(*one) for one in first.items()])
    memory.look(0, until)
    memory.delete([at for at in then if at in memory.readings])
    memory.store([Reading(at, value) for at, value in then.items() if value is not None])
    memory.look(min(then), until)
    readings = [Reading(*one) for one in memory.readings.items()]
    assert memory.spans == at_once(rule, readings, until=until)
    return memory


def test_what_was_clearing_where_the_look_begins_is_not_prolonged() -> None:
    """It is clear since 20 and ends at 30; what comes at 35 looks back to 25."""
    rule = Rule(Kind.ABOVE, high=25.0, clear_high=20.0, keep_us=10)
    memory = kept_after(rule, {10: 26, 20: 15, 28: 22}, {35: 22})
    assert [one.resolved_at for one in memory.spans] == [30]
    memory = kept_after(rule, {10: 26, 20: 15}, {35: 26})
    assert [(one.since, one.resolved_at) for one in memory.spans] == [(10, 30), (35, None)]


def test_what_is_pending_where_the_look_begins_fires_when_it_does() -> None:
    memory = kept_after(Rule(Kind.ABOVE, high=25.0, for_us=10), {10: 26, 30: 20}, {21: 27, 12: 26})
    assert [one[:3] for one in memory.spans] == [(10, 20, 30)]


def test_the_reading_that_ended_it_is_deleted() -> None:
    memory = kept_after(ABOVE, {10: 26, 20: 20, 30: 26}, {20: None})
    assert [one[:3] for one in memory.spans] == [(10, 10, None)]
    assert memory.withdrawn == 1


def test_a_reading_that_came_late_cuts_the_peak_off() -> None:
    """The peak that is left was before all that is looked at."""
    memory = kept_after(ABOVE, {10: 26, 20: 31, 30: 28, 40: 99, 50: 20}, {35: 20})
    assert [(one.since, one.peak, one.peak_at) for one in memory.spans] == [(10, 31, 20), (40, 99, 40)]


def test_a_peak_is_deleted() -> None:
    [span] = kept_after(ABOVE, {10: 26, 20: 31, 30: 28, 40: 99, 50: 27}, {40: None}).spans
    assert (span.peak, span.peak_at) == (31, 20)


def test_a_peak_that_was_seen_before_stays() -> None:
    [span] = kept_after(ABOVE, {10: 26, 20: 99, 30: 28}, {40: 98}).spans
    assert (span.peak, span.peak_at) == (99, 20)


def test_a_peak_whose_rows_have_gone_stays_within_what_is_left() -> None:
    """Retention takes rows and says so to nobody. A look back for the peak then moves no beginning."""
    memory = kept_after(ABOVE, {10: 26, 20: 31, 30: 28, 40: 99}, {50: 27})
    del memory.readings[10], memory.readings[20]
    memory.delete([40])
    memory.look(40, LATER)
    assert [(one.since, one.value, one.peak) for one in memory.spans] == [(10, 26, 28)]


def test_what_was_told_is_not_unsaid_because_less_is_known_now() -> None:
    memory = Memory(Rule(Kind.ABOVE, high=25.0, for_us=10))
    memory.store([Reading(10, 26.0)])
    memory.look(10, 25)
    assert [one.fired_at for one in memory.spans] == [20]
    memory.store([Reading(12, 27.0)])
    memory.look(12, 13)
    assert ([one.peak for one in memory.spans], memory.withdrawn) == ([27.0], 0)


def test_what_is_clear_of_late_is_not_cleared_by_an_earlier_reading() -> None:
    rule = Rule(Kind.ABOVE, high=25.0, keep_us=10)
    [span] = kept_after(rule, {10: 26, 20: 20, 25: 26, 40: 20}, {45: 26}).spans
    assert (span.resolved_at, span.last) == (None, None)


def test_a_gap_that_was_not_known_for_sure_is_looked_at_once_it_is() -> None:
    """Batches are stored out of order: what was sent at 9 waits, or was never sent."""
    for late in ([], [Reading(9, 1.0)]):
        memory = Memory(Rule(Kind.SILENCE, limit_us=10))
        memory.store([Reading(0, 1.0), Reading(15, 1.0)])
        memory.look(0, 5)
        memory.store([Reading(16, 1.0)])
        memory.look(16, 6)
        assert (memory.spans, memory.due_at) == ([], 10)
        memory.look(memory.store(late), 20)
        assert [(one.since, one.resolved_at) for one in memory.spans] == ([] if late else [(10, 15)])


def test_what_ended_before_the_rule_began_has_ended_though_less_is_known_now() -> None:
    rule = Rule(Kind.ABOVE, high=25.0, keep_us=13)
    ended = Incident(Span(10, 10, 23, 26.0, 26.0, 20.0, 10))
    done = work_out(rule, 30, 25, None, [ended], lambda _: [(10, 26.0)])
    assert (done.matched, done.state) == (Matched([], [], []), State())


def test_a_silence_that_is_older_than_the_rule_begins_when_it_did() -> None:
    memory = Memory(Rule(Kind.SILENCE, limit_us=10), active_from=500)
    memory.store([Reading(0, 1.0)])
    memory.look(500, 501)
    assert [one.since for one in memory.spans] == [10]
    memory.look(memory.store([Reading(300, 1.0)]), 502)
    assert [one.since for one in memory.spans] == [310]
    assert memory.withdrawn == 0


def test_the_reading_that_it_began_with_is_deleted() -> None:
    [span] = kept_after(ABOVE, {10: 26, 20: 27}, {10: None}).spans
    assert (span.since, span.value) == (20, 27)


def test_the_reading_is_deleted_without_which_it_would_have_fired() -> None:
    memory = kept_after(Rule(Kind.ABOVE, high=25.0, for_us=10), {10: 26, 18: 20, 25: 26}, {18: None})
    assert [one[:3] for one in memory.spans] == [(10, 20, None)]


def test_the_reading_is_deleted_that_kept_it_firing() -> None:
    memory = kept_after(Rule(Kind.ABOVE, high=25.0, keep_us=10), {10: 26, 20: 20, 28: 26, 40: 26}, {28: None})
    assert [(one.since, one.resolved_at) for one in memory.spans] == [(10, 30), (40, None)]


def test_what_had_ended_by_time_has_ended_though_the_watermark_falls_back() -> None:
    memory = Memory(Rule(Kind.SILENCE, keep_us=1, limit_us=2))
    memory.look(memory.store([Reading(20, 0.0)]), 30)
    memory.look(memory.store([Reading(33, 0.0)]), 34)
    ended = memory.spans
    assert [(span.since, span.resolved_at) for span in ended] == [(22, 34)]
    memory.look(None, 1)
    assert memory.spans == ended
