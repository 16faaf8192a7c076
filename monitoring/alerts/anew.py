"""What holds is worked out again where readings came or went: pure, no Django, no database.

Not from the beginning: from a little before the first reading that changed. How the rule stands there is told
by the spans that are kept, exactly, since nothing before has changed:

- outside of them it is normal; what was pending there and is to fire began within the rule's lookback;
- within one it is pending until it fired, and then fires;
- within its last `keep_us` it is clearing since its end less `keep_us`.

From there all is worked out up to the newest reading, and the spans that end there or later replace what is
kept. Not only those that end where something has changed: an earlier reading may be there whose worker died
before it looked, and a span that it ends would else be lost, since nobody would see where it began.

This is idempotent and independent of the order in which readings arrive: late, doubled or after a kill, in
the end the same is kept as if all had come at once.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, NamedTuple

from monitoring.alerts.match import K, Matched, match
from monitoring.alerts.rule import Phase, Rule, Span, State, excess
from monitoring.alerts.samples import Evaluated, Outage, evaluate


class WorkedOut(NamedTuple, Generic[K]):
    """What is kept is to become `matched`; `due_at`, `unsettled_from`: see samples.Evaluated."""

    matched: Matched[K]
    state: State
    due_at: int | None
    unsettled_from: int | None


def begin(rule: Rule, changed_from: int, active_from: int) -> int:
    """From when on it is worked out again. Whoever calls `work_out` gives what is kept and lasts until then
    at least."""
    return max(changed_from, active_from) - rule.lookback_us


def work_out(
    rule: Rule,
    changed_from: int,
    active_from: int,
    until: int | None,
    kept: Sequence[K],
    read: Callable[[int], Iterable[tuple[int, float]]],
    outages: Sequence[Outage] = (),
) -> WorkedOut[K]:
    """`changed_from`: the first moment of what came or went since it was last worked out, or what that left
    unsettled, if that is earlier. `active_from`: what was over before is not asked for.

    `kept`: in the order of time, those that end at or after `begin(...)` or last still. `read`: called with a
    start, the readings that `evaluate` wants from there on; once, or twice. `until`: as evaluate has it;
    None: nothing is known by time.
    """
    changed_from = max(changed_from, active_from)
    start = begin(rule, changed_from, active_from)
    # One that ends at this very moment may do so because of the reading there.
    in_question = [one for one in kept if max(start, active_from) <= _end(one.span)]
    covering = None
    if changed_from > active_from:  # where the rule begins it is normal, though a silence be older
        covering = next((one.span for one in kept if one.span.since < start <= _end(one.span)), None)
    until = _known_until(until, [one.span for one in kept])
    done = evaluate(rule, _state_in(rule, covering, start), read(start), until, start, outages)
    if covering is not None and _lost_its_peak(rule, covering, done):
        # What was further is no longer part of it, or is gone: look at all of it again, this once.
        start = covering.since
        done = evaluate(rule, _state_in(rule, covering, start), read(start), until, start, outages)
    holds = [span for span in done.spans if max(start, active_from) <= _end(span)]
    return WorkedOut(match(holds, in_question), done.state, done.due_at, done.unsettled_from)


def _end(span: Span) -> float:
    return math.inf if span.resolved_at is None else span.resolved_at


def _known_until(until: int | None, decided: Sequence[Span]) -> int:
    """The watermark, which never falls behind what was already decided by time alone, and told.

    It may fall by itself, as where a second bridge has come back.
    """
    known = [until or 0]
    for span in decided:
        known += [span.fired_at, span.resolved_at or 0]
    return max(known)


def _state_in(rule: Rule, covering: Span | None, start: int) -> State:
    """How it stands before whatever is at `start`, within a span that is kept or outside of any.

    That it fires once it has fired is not always so: it may be clear for a moment. But what lies before
    `start` has not changed, so what follows shows that it came to nothing.
    """
    if covering is None:
        return State()
    if covering.peak_at is None or covering.peak_at >= start:
        covering = covering._replace(peak=covering.value, peak_at=covering.since)
    if covering.resolved_at is not None and covering.resolved_at - rule.keep_us < start:
        clear_since = covering.resolved_at - rule.keep_us
        return State(Phase.CLEARING, covering._replace(resolved_at=None), clear_since)
    phase = Phase.PENDING if covering.fired_at >= start else Phase.FIRING
    return State(phase, covering._replace(resolved_at=None, last=None))


def _lost_its_peak(rule: Rule, covering: Span, done: Evaluated) -> bool:
    """What was left out, between its beginning and the start, may then be the furthest."""
    found = done.spans[0] if done.spans else None
    return found is None or excess(rule, found.peak) < excess(rule, covering.peak)
