"""Readings become incidents: of each pair of a rule and a sensor that something has changed of, what holds is
worked out again (monitoring.alerts.anew), and the incidents are made equal to it.

All of it is one transaction over rows that it has locked: the pairs' state, their incidents, and the
notifications. A few statements, however many pairs. It is idempotent: a worker that dies in between has
changed nothing, and one that comes second finds it done.
"""

import logging
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import transaction

from monitoring.alerts.anew import WorkedOut, begin, work_out
from monitoring.alerts.changing import Changes, Gather, moment, us
from monitoring.alerts.coverage import Covered, as_rule, covered
from monitoring.alerts.rule import Kind, Phase, Rule
from monitoring.alerts.samples import Outage, Reading
from monitoring.models import AlertRule, AlertState, Incident, Measurement
from monitoring.models.alert_rule import LONGEST_S
from monitoring.models.alert_state import AT_ONCE, Held, Pair, Reckoned
from monitoring.models.arrays import as_literal
from process.failpoints import failpoint

logger = logging.getLogger(__name__)

# When a silence is looked at again of a sensor that never sent, or whose interval is not known yet; and what
# could not be evaluated.
LATER = timedelta(minutes=5)
# As far back a silence is looked at where nobody says from when on; as coverage has it of a new pair.
OF_LATE = timedelta(hours=1)
# Readings that are fetched by one statement, of all sensors; but of each so many at least. What a sensor has
# more is fetched by itself.
AT_A_TIME = 200_000
OF_EACH = 100
# A silence may take so long, and begins with a reading that lies as far back at most, or is one already.
_LOOK_BACK = timedelta(seconds=2 * LONGEST_S)


class Known(NamedTuple):
    """`until`: all that was sent before is stored (None: nothing is known of that); `outages`: in which we
    ourselves took nothing (None: those that are kept). Microseconds since 1970."""

    until: int | None = None
    outages: Sequence[Outage] | None = None


@dataclass
class Outcome:
    """How many pairs were evaluated; the incidents that fire, and that ended, since."""

    pairs: int = 0
    fired: list[Incident] = field(default_factory=list)
    ended: list[Incident] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        self.pairs += other.pairs
        self.fired += other.fired
        self.ended += other.ended


def evaluate(
    pairs: Mapping[Pair, int | None],
    known: Known,
    now: datetime | None = None,
    gather: Gather | None = None,
) -> Outcome:
    """Each pair → the first moment, in microseconds since 1970, of which readings came or went; None: no more
    than its row says. Waits for whoever evaluates one of them.

    `gather`: makes incidents that have just fired part of others, before anybody is told.
    """
    now = now or datetime.now(UTC)
    with transaction.atomic():
        held = AlertState.objects.hold(pairs)
        failpoint("alerts.held")
        work = _prepare(held, pairs, now)
        done = _evaluate(work, known, now, gather)
    failpoint("alerts.evaluated")
    return done


@dataclass
class _One:
    """A pair on its way. `pure`: None where the rule says nothing of the sensor yet."""

    held: Held
    row: AlertRule
    covered: Covered
    changed_from: int | None
    kept: list[Incident] = field(default_factory=list)
    pure: Rule | None = None

    @property
    def is_over(self) -> bool:
        """The rule holds for the sensor no longer."""
        return not self.covered.fits

    @property
    def start(self) -> int:
        return begin(self._rule, self.changed_from or 0, self.active_from)

    @property
    def active_from(self) -> int:
        return us(self.row.active_from)

    @property
    def _rule(self) -> Rule:
        if self.pure is None:
            raise ValueError("the rule says nothing of it")
        return self.pure


def _prepare(held: Sequence[Held], pairs: Mapping[Pair, int | None], now: datetime) -> list[_One]:
    """Reads what is needed of each pair. The rules are read after the rows are locked: whoever changes a rule
    waits for these locks, or has committed the change before we had them."""
    rules = AlertRule.objects.in_bulk({one.rule_id for one in held})
    cover = covered([one.id for one in held])
    work = []
    for one in held:
        row, of_sensor = rules.get(one.rule_id), cover.get(one.id)
        if row is None or of_sensor is None:
            continue
        if not row.is_of_readings:  # as it was before somebody changed it
            of_sensor = of_sensor._replace(fits=False)
        changed_from = pairs.get(one.pair)
        if one.version != row.version:
            changed_from = us(row.active_from)
        elif one.check_from is not None:
            left = us(one.check_from)
            changed_from = left if changed_from is None else min(left, changed_from)
        if changed_from is None and row.kind == Kind.SILENCE:
            changed_from = max(us(row.active_from), us(now - OF_LATE))
        if changed_from is None and one.phase != Phase.NORMAL.value:
            changed_from = us(now)  # where it stands is worked out again, rather than forgotten
        work.append(_One(one, row, of_sensor, changed_from, pure=as_rule(row, of_sensor.interval_s)))
    return work


def _evaluate(work: Sequence[_One], known: Known, now: datetime, gather: Gather | None) -> Outcome:
    _fetch_kept(work, now)
    changes = Changes(now)
    over = [one for one in work if one.is_over]
    for one in over:
        changes.end(one.kept)
    to_do = [one for one in work if not one.is_over]
    for one in to_do:
        if one.held.version != one.row.version:
            changes.end(one.kept)
            one.kept = []
    if known.outages is None:
        has_silences = any(one.row.kind == Kind.SILENCE for one in to_do)
        known = known._replace(outages=kept_outages(now) if has_silences else ())
    readings = _Readings.of([one for one in to_do if one.pure is not None and one.changed_from is not None])
    rows = [_one(one, known, now, readings, changes) for one in to_do]
    AlertState.objects.filter(pk__in=[one.held.id for one in over]).delete()
    AlertState.objects.write(rows)
    failpoint("alerts.written")
    changes.make(gather)
    failpoint("alerts.noted")
    return Outcome(len(work), changes.fired, changes.ended)


def _one(one: _One, known: Known, now: datetime, readings: "_Readings", changes: Changes) -> Reckoned:
    if one.changed_from is None:  # something of it was due, but nothing has changed
        return _normal(one, None, None)
    if one.pure is None:
        return _normal(one, _later(known, now), one.changed_from)
    try:
        done: WorkedOut[Incident] = work_out(
            one.pure,
            one.changed_from,
            one.active_from,
            known.until,
            one.kept,
            lambda start: readings.read(one, start),
            known.outages or (),
        )
    except Exception:
        # The others are to be evaluated all the same, and this one is not to be due first for ever.
        logger.exception("rule %s cannot be evaluated for sensor %s", *one.held.pair)
        return _normal(one, _later(known, now), one.changed_from, one.held.phase)
    changes.add(one.row, subject_of(one.held.sensor_id), one.held.sensor_id, done.matched)
    state, due_at, check_from = done.state, done.due_at, done.unsettled_from
    if due_at is None and one.row.kind == Kind.SILENCE and state.phase == Phase.NORMAL:
        # It never sent, so that it has no deadline.
        return _normal(one, _later(known, now), one.changed_from)
    span = state.span
    return Reckoned(
        one.held.id,
        state.phase.value,
        None if span is None else moment(span.since),
        None if span is None else moment(span.fired_at),
        None if span is None else span.value,
        None if span is None else span.peak,
        None if span is None else span.last,
        None if state.clear_since is None else moment(state.clear_since),
        None if due_at is None else moment(due_at),
        None if check_from is None else moment(check_from),
        one.row.version,
    )


def _later(known: Known, now: datetime) -> datetime:
    """When a pair is due again of which nothing could be said: after `until` too, so not in this same run."""
    return max(now, moment(known.until or 0)) + LATER


def _normal(
    one: _One, due_at: datetime | None, changed_from: int | None, phase: str = Phase.NORMAL.value
) -> Reckoned:
    check_from = None if changed_from is None else moment(changed_from)
    return Reckoned(
        one.held.id, phase, None, None, None, None, None, None, due_at, check_from, one.row.version
    )


def _fetch_kept(work: Sequence[_One], now: datetime) -> None:
    """Fetches, in one statement, the incidents of each pair that may change: found by its rule as it is now.

    Where nothing is worked out, only those that are open.
    """
    if not work:
        return
    starts = {
        one.held.pair: one.start if one.pure is not None and one.changed_from is not None else us(now)
        for one in work
    }
    found: defaultdict[str, list[Incident]] = defaultdict(list)
    for incident in Incident.objects.raw(_KEPT, _columns(starts)):
        found[f"{incident.rule_id}/{incident.subject}"].append(incident)
    for one in work:
        of_pair = found[f"{one.row.pk}/{subject_of(one.held.sensor_id)}"]
        # What an earlier version found stays as it was; but for what was open, which ends.
        is_old = one.held.version != one.row.version
        one.kept = [each for each in of_pair if is_old or each.seen_at >= one.row.active_from]


def _columns(starts: Mapping[Pair, int]) -> list[str]:
    rules, sensors = zip(*starts, strict=True)
    return [as_literal(rules) or "", as_literal(sensors) or "", as_literal(starts.values()) or ""]


def kept_outages(now: datetime) -> list[Outage]:
    """When we took nothing, as far back as matters, in the order of time and apart from each other."""
    return [Outage(us(start), us(end)) for start, end in Incident.objects.outages(now - _LOOK_BACK, now)]


def subject_of(sensor_id: int) -> str:
    return f"sensor:{sensor_id}"


class _Readings:
    """The readings of all pairs, of each sensor once: one statement fetches what nearly all of them need."""

    def __init__(self, starts: Mapping[int, int]) -> None:
        self._starts = starts
        self._most = max(OF_EACH, AT_A_TIME // max(1, len(starts)))
        self._of = Measurement.objects.since(starts, self._most) if starts else {}

    @classmethod
    def of(cls, work: Iterable[_One]) -> "_Readings":
        starts: dict[int, int] = {}
        for one in work:
            if one.pure is not None:
                start = one.start - one.pure.window_us
                starts[one.held.sensor_id] = min(start, starts.get(one.held.sensor_id, start))
        return cls(starts)

    def read(self, one: _One, start: int) -> Iterator[Reading]:
        """The pair's readings from `start` less the rule's window on, with the last one before that."""
        sensor_id = one.held.sensor_id
        start -= 0 if one.pure is None else one.pure.window_us
        rows = self._of[sensor_id]
        if start < self._starts[sensor_id]:  # a span that began before all that was fetched
            rows = Measurement.objects.since({sensor_id: start}, self._most)[sensor_id]
        place = max(0, bisect_left(rows, (start,)) - 1)
        while True:
            yield from (Reading(*row) for row in rows[place:])
            if len(rows) < self._most:
                break
            start = rows[-1][0] + 1
            rows = Measurement.objects.since({sensor_id: start}, self._most)[sensor_id]
            place = bisect_left(rows, (start,))


def rule_changed(rule_ids: Sequence[int], now: datetime | None = None) -> None:
    """Ends whatever these rules found, and has them evaluated anew, soon.

    Call it in the transaction that changes them, switches them off or is about to delete them.
    """
    now = now or datetime.now(UTC)
    states = AlertState.objects.filter(rule__in=rule_ids)
    # These locks wait for whoever evaluates them; who comes later waits for us, and finds the changed rule.
    list(states.order_by("rule", "subject").select_for_update().values_list("pk"))
    changes = Changes(now)
    changes.end(Incident.objects.open().filter(rule__in=rule_ids).order_by("pk").select_related("rule"))
    changes.make()
    states.update(due_at=AT_ONCE)


# Of each pair from a start of its own on, by the index incident_of_pair: where one begins long ago, the
# others' are not read from there too.
_KEPT = """
SELECT incident.*
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS pair (rule_id, sensor_id, start)
CROSS JOIN LATERAL (
    SELECT * FROM monitoring_incident
    WHERE rule_id = pair.rule_id AND subject = 'sensor:' || pair.sensor_id
      AND (resolved_at IS NULL OR resolved_at >= 'epoch'::timestamptz + interval '1 microsecond' * pair.start)
      AND state <> 'withdrawn' AND "end" <> 'changed'
    OFFSET 0
) AS incident
ORDER BY incident.since, incident.id
"""
