"""THE property of alerts: however readings arrive, the same is kept as if all had been there at once."""

from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.alerts.rule import Kind, Rule
from monitoring.alerts.samples import Outage, Reading
from tests.alerts.arrivals import LATER, Memory, at_once, moments, outages, rules, series, values


@settings(max_examples=200)
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


@settings(max_examples=200)
@given(st.data(), rules(), series(), st.integers(0, 70))
def test_what_is_deleted_or_said_anew(
    data: st.DataObject, rule: Rule, readings: list[Reading], active_from: int
) -> None:
    memory = Memory(rule, active_from)
    memory.store(readings)
    memory.look(0, LATER)
    for _ in range(data.draw(st.integers(1, 4))):
        gone = (
            data.draw(st.lists(st.sampled_from(sorted(memory.readings)), max_size=4))
            if memory.readings
            else []
        )
        changed = [memory.delete(gone)]
        changed.append(memory.store([Reading(data.draw(moments), data.draw(values))]))
        known = [at for at in changed if at is not None]
        memory.look(min(known, default=None), LATER)
        assert memory.spans == at_once(rule, [Reading(*one) for one in memory.readings.items()], active_from)
