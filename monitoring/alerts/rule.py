"""When a rule holds, by the readings alone: pure, no Django, no database, no clock of its own.

Times are microseconds since 1970, UTC, and are event time, that of the measurements. A value holds until the
next one. A clear threshold may lie back from the threshold (hysteresis), so that values that swing about the
latter do not make the rule fire again and again. A rule is a state machine of four phases:

    normal    --a value past the threshold-->      pending   since that reading
    pending   --any value that is not-->           normal
    pending   --`for` has passed-->                firing    at since + for
    firing    --a value back past the clear
                threshold-->                       clearing  since that reading
    clearing  --a value past the threshold-->      firing
    clearing  --`keep` has passed-->               normal    resolved at that reading + keep

What comes out are spans, not transitions: a reading that arrives late may begin a span earlier, split it in
two, or show that it never was. So whoever keeps spans works out those of the time that has changed, and makes
what is kept equal to them (monitoring.alerts.match).
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

SECOND = 1_000_000


class Kind(enum.StrEnum):
    """What is looked at: readings, but for the last three, which are looked at as of now."""

    ABOVE = "above"
    BELOW = "below"
    OUTSIDE = "outside"
    RATE = "rate"
    STUCK = "stuck"
    SILENCE = "silence"
    REJECTED = "rejected"
    BOARD = "board"
    PIPELINE = "pipeline"


OF_READINGS = frozenset({Kind.ABOVE, Kind.BELOW, Kind.OUTSIDE, Kind.RATE, Kind.STUCK, Kind.SILENCE})
# A value says by itself whether it is past the threshold: no window, no time.
OF_VALUES = frozenset({Kind.ABOVE, Kind.BELOW, Kind.OUTSIDE})


@dataclass(frozen=True)
class Rule:
    """`high`, `low`: past them it holds; back at `clear_high`, `clear_low` (hysteresis) it no longer does
    (None: at the thresholds themselves). Of a rate they are per minute; of `stuck`, `high` is how far the
    values of a window may lie apart; of `rejected`, the share from 0 to 1.

    `for_us`: how long it must hold before it fires; `keep_us`: how long it goes on firing after it is clear.
    `window_us`: what a rate or a stuck value is measured over. `limit_us`: after so long without a reading a
    sensor is silent.
    """

    kind: Kind
    high: float | None = None
    low: float | None = None
    clear_high: float | None = None
    clear_low: float | None = None
    for_us: int = 0
    keep_us: int = 0
    window_us: int = 0
    limit_us: int = 0

    @property
    def lookback_us(self) -> int:
        """How long before a moment samples still decide the rule's phase at that moment, in microseconds.

        What is pending, or clearing, may have begun so long ago. What lasts longer is a span that is kept.
        """
        return max(self.for_us, self.keep_us)


class Verdict(enum.IntEnum):
    CLEAR = 0
    BETWEEN = 1
    """Not past the threshold, and not back past the clear threshold."""
    PAST = 2


class Sample(NamedTuple):
    """What a reading, or the lack of one, says of a rule. `value`: what is shown of it."""

    at: int
    verdict: Verdict
    value: float | None


class Span(NamedTuple):
    """`since`: the reading that it began with; `fired_at`: since + for; `resolved_at`: None while it lasts.

    `value`: that of the first reading, `peak`: the one furthest past the threshold, first seen at `peak_at`,
    `last`: of the reading that cleared it, None while none has.
    """

    since: int
    fired_at: int
    resolved_at: int | None = None
    value: float | None = None
    peak: float | None = None
    last: float | None = None
    peak_at: int | None = None


class Phase(enum.StrEnum):
    NORMAL = "normal"
    PENDING = "pending"
    FIRING = "firing"
    CLEARING = "clearing"


class State(NamedTuple):
    """Where a rule stands. `span` is what began (pending: its `fired_at` is when it will fire); `clear_since`
    of the phase clearing."""

    phase: Phase = Phase.NORMAL
    span: Span | None = None
    clear_since: int | None = None

    def due_at(self, rule: Rule) -> int | None:
        """When it changes if no reading comes; a silence has besides its own deadline."""
        if self.phase == Phase.PENDING and self.span is not None:
            return self.span.fired_at
        if self.clear_since is not None:
            return self.clear_since + rule.keep_us
        return None

    @property
    def unsettled_from(self) -> int | None:
        """From when on time alone may yet change what was made of the samples; None: only samples may."""
        if self.phase == Phase.PENDING and self.span is not None:
            return self.span.since
        return self.clear_since


def verdict_of(rule: Rule, value: float) -> Verdict:
    """Of one value against the thresholds, those that there are; at a threshold it is not past it."""
    high, low = rule.high, rule.low
    if (high is not None and value > high) or (low is not None and value < low):
        return Verdict.PAST
    clear_high = high if rule.clear_high is None else rule.clear_high
    clear_low = low if rule.clear_low is None else rule.clear_low
    if (clear_high is not None and value > clear_high) or (clear_low is not None and value < clear_low):
        return Verdict.BETWEEN
    return Verdict.CLEAR


def excess(rule: Rule, value: float | None) -> float:
    """How far a value lies past the rule's thresholds; 0 for one that does not, or of a rule without any."""
    if value is None or rule.kind == Kind.STUCK:  # whose threshold is no value, but a distance
        return 0.0
    over = 0.0 if rule.high is None else value - rule.high
    under = 0.0 if rule.low is None else rule.low - value
    return max(over, under, 0.0)


def fold(rule: Rule, state: State, samples: Iterable[Sample], until: int) -> tuple[list[Span], State]:
    """Goes through the samples in the order of time, then on to the watermark `until`: up to it all is known.
    Returns the spans that fired, the last of which may last still, and the state after it all. A span that
    `state` begins with is among them.
    """
    phase, span, clear_since = state
    # The peak moves with every second sample; a span is made when it ends.
    peak, peak_at = (None, None) if span is None else (span.peak, span.peak_at)
    furthest = excess(rule, peak)
    spans: list[Span] = []

    def advance(to: int) -> None:
        """What happens by time alone up to this moment, itself included."""
        nonlocal phase, span, clear_since
        if phase == _PENDING and span is not None and span.fired_at <= to:
            phase = _FIRING
        elif clear_since is not None and span is not None and clear_since + rule.keep_us <= to:
            end = clear_since + rule.keep_us
            spans.append(span._replace(resolved_at=end, peak=peak, peak_at=peak_at))
            phase, span, clear_since = _NORMAL, None, None

    # Of most samples nothing comes: what is normal stays so, or what fires goes on.
    at = until
    for at, verdict, value in samples:
        if phase == _PENDING or clear_since is not None:
            advance(at)
        if span is None:
            if verdict == _PAST:
                phase, span = _PENDING, Span(at, at + rule.for_us, value=value)
                peak, peak_at, furthest = value, at, excess(rule, value)
                advance(at)
        elif verdict == _PAST:
            if clear_since is not None:
                phase, span, clear_since = _FIRING, span._replace(last=None), None
            if (so_far := excess(rule, value)) > furthest:
                peak, peak_at, furthest = value, at, so_far
        elif phase == _PENDING:
            phase, span = _NORMAL, None
        elif verdict == _CLEAR and phase == _FIRING:
            phase, span, clear_since = _CLEARING, span._replace(last=value), at
            advance(at)
    advance(max(at, until))
    if span is not None:
        span = span._replace(peak=peak, peak_at=peak_at)
        if phase != _PENDING:
            spans.append(span)
    return spans, State(phase, span, clear_since)


# A member is looked up in its class as long as a sample takes.
_PAST, _CLEAR = Verdict.PAST, Verdict.CLEAR
_NORMAL, _PENDING, _FIRING, _CLEARING = Phase.NORMAL, Phase.PENDING, Phase.FIRING, Phase.CLEARING
