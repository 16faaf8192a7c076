"""What is looked at as of now, every ten seconds: the share of what is rejected, boards that are offline, and
the pipeline itself.

No reading could come late here. So each look is one sample, by which the rule's state after the last look
goes on (monitoring.alerts.rule); `for` and `keep` count in processing time, by the clock. A subject that is
normal has no row.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Count, Sum
from redis.exceptions import RedisError

from batches.store import BatchStore
from batches.topics import board_of
from monitoring import books, locks
from monitoring.alerts import together
from monitoring.alerts.changing import Changes, moment, us
from monitoring.alerts.coverage import as_rule, fits
from monitoring.alerts.evaluating import Outcome, subject_of
from monitoring.alerts.match import match
from monitoring.alerts.rule import Kind, Phase, Rule, Sample, Span, State, Verdict, fold, verdict_of
from monitoring.models import AlertRule, AlertState, Incident, IngestBatch, Measurement, MinuteRollup
from monitoring.models.arrays import as_literal
from monitoring.status.reach import Reach
from monitoring.upkeep.pieces import TimeShare, in_pieces
from process import heartbeat

logger = logging.getLogger(__name__)

KINDS = (Kind.REJECTED, Kind.BOARD, Kind.PIPELINE)
# The job comes every ten, or less often where others hold it up.
APART = timedelta(seconds=5)
# Of `pending` without a threshold, in seconds.
PENDING_TOO_LONG = 60.0
# Of a longer window whole minutes are taken from the rollups.
COUNTED_ONE_BY_ONE = timedelta(minutes=10)
# Within it the rollups may not have been refreshed.
_NOT_ROLLED_UP = timedelta(minutes=2)
_LOOKED_AT = "iot:alerts:checked"


class Finding(NamedTuple):
    """Of a subject. `at`: since when, where that is known; else it is now."""

    verdict: Verdict
    value: float | None = None
    at: datetime | None = None
    sensor_id: int | None = None


# By subject; what has gone is not among them.
Findings = Mapping[str, Finding]


class _Asked(NamedTuple):
    """A rule; the subjects that it is not normal of; and whom else to ask."""

    row: AlertRule
    pure: Rule
    standing: Collection[str]
    store: BatchStore
    now: datetime


def job(store: BatchStore, known: Reach, share: TimeShare, now: datetime) -> Outcome:
    """Looks, unless somebody has just now: within APART."""
    done = Outcome()
    if not AlertRule.objects.filter(kind__in=KINDS).exists() or not _is_time(store):
        return done

    def piece() -> int:
        done.add(look(store, known, now))
        return 0

    in_pieces(locks.ALERTS, piece, share)
    return done


def _is_time(store: BatchStore) -> bool:
    with suppress(RedisError, OSError):
        return bool(store.redis.set(_LOOKED_AT, 1, nx=True, px=APART))
    return True


@transaction.atomic
def look(store: BatchStore, known: Reach, now: datetime) -> Outcome:
    """One look at all such rules; one process at a time. What cannot be said now of a rule stays as it was.

    While we are behind no board is looked at: its sensors' readings may be waiting.
    """
    # Whoever changes one of them holds it: he waits for us, or has changed it before.
    rows = AlertRule.objects.filter(kind__in=KINDS).select_related("board").order_by("pk")
    rules = {row.pk: row for row in rows.select_for_update(of=("self",), no_key=True)}
    held: defaultdict[int, dict[str, AlertState]] = defaultdict(dict)
    for state in AlertState.objects.filter(rule__in=rules).order_by("rule", "subject").select_for_update():
        held[state.rule_id][_subject(state)] = state
    opened: defaultdict[int, dict[str, Incident]] = defaultdict(dict)
    for incident in Incident.objects.open().filter(rule__in=rules).select_related("sensor").order_by("pk"):
        opened[incident.rule_id or 0][incident.subject] = incident
    changes = Changes(now)
    written: list[AlertState] = []
    gone: list[int] = []
    for row in rules.values():
        states, incidents = held[row.pk], opened[row.pk]
        standing = states.keys() | incidents.keys()
        pure = _pure(row)
        if row.kind == Kind.BOARD and known.is_behind(now):
            continue
        found = _found(_Asked(row, pure, standing, store, now)) if row.enabled else {}
        if found is None:
            continue
        for subject in sorted(standing - found.keys()):
            if not together.is_whole(row.kind, subject):
                changes.end([incidents[subject]] if subject in incidents else [])
                gone += [states[subject].pk] if subject in states else []
        for subject, finding in sorted(found.items()):
            stands = _Stands(row, pure, states.get(subject), incidents.get(subject))
            after = _fold(stands, subject, finding, changes)
            if after.phase != Phase.NORMAL:
                written.append(_row(row, subject, after))
            elif stands.state is not None:
                gone.append(stands.state.pk)
    AlertState.objects.filter(pk__in=gone).delete()
    AlertState.objects.bulk_create(
        written, update_conflicts=True, unique_fields=["rule", "subject"], update_fields=_COLUMNS
    )
    changes.make(together.gather)
    return Outcome(0, changes.fired, changes.ended)


def _found(asked: _Asked) -> Findings | None:
    """None: it cannot be said now."""
    try:
        return dict(_LOOKS[asked.row.kind](asked))
    except (RedisError, OSError):
        return None


def _pure(row: AlertRule) -> Rule:
    pure = as_rule(row, None)
    if pure is None:
        raise ValueError(f"a rule of {row.kind} says something of everybody")
    if row.check_of == AlertRule.Check.PENDING and pure.high is None:
        return replace(pure, high=PENDING_TOO_LONG)
    return pure


# --- where it stands ------------------------------------------------------------------------------


class _Stands(NamedTuple):
    """A rule with one subject, before a look."""

    row: AlertRule
    pure: Rule
    state: AlertState | None
    incident: Incident | None


def _fold(stands: _Stands, subject: str, finding: Finding, changes: Changes) -> State:
    row, pure, state, incident = stands
    if state is not None and state.version != row.version:
        changes.end([] if incident is None else [incident])
        state = incident = None
    now = us(changes.now)
    at = now if finding.at is None else min(now, max(us(finding.at), us(row.active_from)))
    stood = _stood(state, incident)
    if stood.span is not None:
        # A clock may be put back: what it shows then is no earlier than what began.
        at, now = max(at, stood.span.since + 1), max(now, stood.span.since + 1)
    spans, after = fold(pure, stood, [Sample(at, finding.verdict, finding.value)], now)
    kept = [] if incident is None else [incident]
    changes.add(row, subject, finding.sensor_id, match(spans, kept))
    return after


def _stood(state: AlertState | None, incident: Incident | None) -> State:
    """What fires is as its incident says, whatever became of the row."""
    if incident is not None:
        span = incident.span._replace(resolved_at=None)
        if state is not None and state.clear_since is not None:
            return State(Phase.CLEARING, span, us(state.clear_since))
        return State(Phase.FIRING, span)
    if state is None or state.phase != Phase.PENDING or state.since is None or state.fired_at is None:
        return State()
    span = Span(us(state.since), us(state.fired_at), value=state.value, peak=state.peak)
    return State(Phase.PENDING, span)


def _row(row: AlertRule, subject: str, after: State) -> AlertState:
    """The row to keep of a rule with a subject, as it stands after the look.

    A sensor's subject gets the prefix `rejected:`, and the row no sensor id. So, should somebody turn the
    rule into one of readings, this row is not taken for that rule's.
    """
    span = after.span
    state = AlertState(
        rule=row, subject=_REJECTED + subject, phase=after.phase.value, version=row.version, due_at=None
    )
    if not subject.startswith("sensor:"):
        state.subject = subject
    if span is not None:
        state.since, state.fired_at = moment(span.since), moment(span.fired_at)
        state.value, state.peak, state.last = span.value, span.peak, span.last
    state.clear_since = None if after.clear_since is None else moment(after.clear_since)
    return state


def _subject(state: AlertState) -> str:
    return state.subject.removeprefix(_REJECTED)


_REJECTED = "rejected:"
_COLUMNS = ["phase", "since", "fired_at", "value", "peak", "last", "clear_since", "due_at", "version"]


# --- how much is rejected -------------------------------------------------------------------------


def _rejected(asked: _Asked) -> Iterator[tuple[str, Finding]]:
    """Readings that were refused, and not stored since, among all of a window that name the sensor, or that
    came on a topic of the board. Payloads past their cap are not kept, and not counted here."""
    start = asked.now - timedelta(seconds=asked.row.window_s)
    if asked.row.board is not None and asked.row.sensor_id is None:
        sensors = list(fits(asked.row).values_list("pk", flat=True))
        rejected = _rejected_of_board(start, sensors, asked.row)
        stored = sum(_stored(start, asked.now, sensors).values())
        yield f"board:{asked.row.board.name}", _share(asked.pure, rejected, stored)
        return
    by_sensor = _rejected_by_sensor(start)
    # Of sensors of which nothing is rejected there is nothing to say, but where it is not normal.
    numbers = {int(subject.partition(":")[2]) for subject in asked.standing if subject.startswith("sensor:")}
    here = list(fits(asked.row).filter(pk__in=by_sensor.keys() | numbers).values_list("pk", flat=True))
    of_sensors = _stored(start, asked.now, here)
    for pk in here:
        share = _share(asked.pure, by_sensor.get(pk, 0.0), of_sensors.get(pk, 0))
        yield subject_of(pk), share._replace(sensor_id=pk)


def _share(pure: Rule, rejected: float, stored: int) -> Finding:
    share = rejected / (rejected + stored) if rejected else 0.0
    return Finding(verdict_of(pure, share), share)


def _rejected_by_sensor(start: datetime) -> dict[int, float]:
    """Of a message that names several sensors, each has its part."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_SENSOR, [start])
        return dict(cursor.fetchall())


def _rejected_of_board(start: datetime, sensors: Sequence[int], row: AlertRule) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_BY_TOPIC, [as_literal(sensors), start])
        found = cursor.fetchall()
    name = row.board.name if row.board is not None else ""
    is_of_all = not row.sensor_kind and not row.location
    return sum(count for topic, is_ours, count in found if is_ours or (is_of_all and board_of(topic) == name))


def _stored(start: datetime, now: datetime, sensors: Sequence[int]) -> dict[int, int]:
    """Readings of a window, by sensor; of one that is long its first minute is a whole one."""
    found: defaultdict[int, int] = defaultdict(int)
    since = start
    if now - start > COUNTED_ONE_BY_ONE:
        since = (now - _NOT_ROLLED_UP).replace(second=0, microsecond=0)
        begin = start.replace(second=0, microsecond=0)
        minutes = MinuteRollup.objects.filter(sensor__in=sensors, start__gte=begin, start__lt=since)
        for pk, count in minutes.order_by().values_list("sensor").annotate(Sum("count")):
            found[pk] += count
    rows = Measurement.objects.filter(sensor__in=sensors, created_at__gte=since)
    for pk, count in rows.order_by().values_list("sensor").annotate(Count("pk")):
        found[pk] += count
    return found


_BY_SENSOR = """
SELECT sensor_id, sum(part) FROM (
    SELECT unnest(sensors) AS sensor_id, elements::double precision / cardinality(sensors) AS part
    FROM monitoring_rejectedmessage
    WHERE received_at >= %s AND state <> 'replayed' AND cardinality(sensors) > 0
) AS named GROUP BY sensor_id
"""

_BY_TOPIC = """
SELECT topic, sensors && %s::bigint[] AS is_ours, sum(elements)::bigint
FROM monitoring_rejectedmessage WHERE received_at >= %s AND state <> 'replayed' GROUP BY 1, 2
"""


# --- boards ---------------------------------------------------------------------------------------


def _boards(asked: _Asked) -> Iterator[tuple[str, Finding]]:
    """Offline by its own word, or its last will, and no sensor of it has measured anything since."""
    row = asked.row
    with connection.cursor() as cursor:
        cursor.execute(_BOARDS, {"board": row.board_id, "location": row.location})
        for name, since, is_away in cursor.fetchall():
            finding = Finding(Verdict.PAST, None, since) if is_away else Finding(Verdict.CLEAR)
            yield f"board:{name}", finding


# A look-up a sensor of the boards that are offline, in the partitions since: no join.
_BOARDS = """
SELECT name, since, NOT online AND NOT EXISTS (
    SELECT FROM monitoring_sensorstatus AS standing WHERE standing.board_id = board.id AND (
        SELECT true FROM monitoring_measurement
        WHERE sensor_id = standing.sensor_id AND created_at > board.since LIMIT 1
    )
)
FROM monitoring_board AS board
WHERE (%(board)s::bigint IS NULL OR id = %(board)s)
  AND (%(location)s = '' OR EXISTS (
    SELECT FROM monitoring_sensorstatus AS standing JOIN monitoring_sensor AS sensor
    ON sensor.id = standing.sensor_id
    WHERE standing.board_id = board.id AND sensor.location = %(location)s
  ))
"""


# --- the pipeline ---------------------------------------------------------------------------------


def _pipeline(asked: _Asked) -> Iterator[tuple[str, Finding]]:
    return _CHECKS[asked.row.check_of](asked)


def _pending(asked: _Asked) -> Iterator[tuple[str, Finding]]:
    """The age in seconds of what has waited longest."""
    oldest = books.oldest_pending(asked.store)
    age_s = 0.0 if oldest is None else max(0.0, (asked.now - oldest).total_seconds())
    yield "pipeline:pending", Finding(verdict_of(asked.pure, age_s), round(age_s, 3))


def _processes(asked: _Asked) -> Iterator[tuple[str, Finding]]:
    """For how many seconds it has been silent. One that was never seen is none that has fallen silent; one
    that has been silent for so long that nobody knows stays so."""
    for name, sign in heartbeat.signs(asked.store.redis).items():
        if sign.works:
            finding = Finding(Verdict.CLEAR)
        elif sign.age_s is None:
            finding = Finding(Verdict.BETWEEN)
        else:
            finding = Finding(Verdict.PAST, round(sign.age_s, 3))
        yield f"pipeline:process:{name}", finding


def _books(asked: _Asked) -> Iterator[tuple[str, Finding]]:
    """Messages that one side lacks, or readings of the ledger that are neither stored nor refused; both are
    exact while batches come and go."""
    missing = books.missing(asked.store)
    if missing is None:
        yield "pipeline:books", Finding(Verdict.BETWEEN)
        return
    sums = IngestBatch.objects.sums()
    unsaid = sums["readings"] - sums["stored"] - sums["duplicates"] - sums["rejected"]
    wrong = abs(missing) + abs(unsaid)
    yield "pipeline:books", Finding(Verdict.PAST if wrong else Verdict.CLEAR, float(wrong))


_Look = Callable[[_Asked], Iterator[tuple[str, Finding]]]
_CHECKS: Mapping[str, _Look] = {
    AlertRule.Check.PENDING: _pending,
    AlertRule.Check.PROCESS: _processes,
    AlertRule.Check.BOOKS: _books,
}
_LOOKS: Mapping[str, _Look] = {Kind.REJECTED: _rejected, Kind.BOARD: _boards, Kind.PIPELINE: _pipeline}
