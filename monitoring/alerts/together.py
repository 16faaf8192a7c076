"""Many sensors that fall silent at once are one story: a board lost its power, or a place its network.

Three or more of one board or one location whose silences, by one rule, began within two minutes of the next
one are parts of one incident, which names them and which alone is told. Later ones join it. It is over when
all of its parts are. Whoever was told of one of them before there were enough is told of its end, too.

So are boards of one location that are offline.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, F, Max, Min, Q

from monitoring.alerts import outbox
from monitoring.alerts.rule import Kind
from monitoring.models import Incident, Notification, SensorStatus

FEWEST = 3
WINDOW = timedelta(minutes=2)

_KINDS = (Kind.SILENCE.value, Kind.BOARD.value)
# By its subject an incident is known to be one of many; of the kind board, one board has one of its own.
_WHOLE = Q(kind__in=_KINDS, subject__startswith="location:") | Q(
    kind=Kind.SILENCE.value, subject__startswith="board:"
)
_FIRING = Incident.State.FIRING


class Place(NamedTuple):
    """Where a sensor is, or a board with all of its sensors; empty: nobody said."""

    location: str = ""
    board: str = ""


class _One(NamedTuple):
    incident: Incident
    place: Place
    is_new: bool


@dataclass
class _Whole:
    """An incident of many that is open; when the first and the last of its parts began."""

    incident: Incident
    first: datetime
    last: datetime

    def is_met_by(self, one: _One) -> bool:
        kind, _, name = self.incident.subject.partition(":")
        of_one = one.place.board if kind == "board" else one.place.location
        return of_one == name and self.first - WINDOW <= one.incident.since <= self.last + WINDOW


def gather(fired: Sequence[Incident], now: datetime) -> None:
    """Makes those that have just fired parts of others, in the transaction that writes them, and tells of
    those. A few statements, however many fired; one process at a time."""
    new = _new(fired)
    if not new:
        return
    wholes = _wholes(new)
    parts: list[Incident] = []
    for rule_id, ones in _by_rule(new).items():
        open_ones = wholes[rule_id]
        left = []
        for one in ones:
            met = next((whole for whole in open_ones if one.is_new and whole.is_met_by(one)), None)
            if met is None:
                left.append(one)
            else:
                parts += _join(met.incident, [one])
        for subject, some in clusters(left):
            same = next((each.incident for each in open_ones if each.incident.subject == subject), None)
            whole = _begin(subject, some, now) if same is None else same
            parts += _join(whole, some)
            _tell(whole, again=same is not None)
    Incident.objects.bulk_update(parts, ["part_of"], batch_size=500)


def settle(now: datetime) -> list[Incident]:
    """Ends those whose parts have all ended, and lets the others begin with the first of theirs. Call it in a
    transaction, one process at a time. Returns what ended."""
    wholes = Incident.objects.open().filter(_WHOLE, sensor=None)
    if not wholes.exists():
        return []
    holds = ~Q(parts__state=Incident.State.WITHDRAWN)
    # With what is worked out of each, of which the model's type knows nothing.
    found: Any = wholes.annotate(
        firing=Count("parts", filter=Q(parts__state=_FIRING)),
        holding=Count("parts", filter=holds),
        many=Count("parts"),
        begun=Min("parts__since", filter=holds),
        over=Max("parts__resolved_at", filter=holds),
    )  # fmt: skip
    ended = []
    for whole in found.filter(Q(firing=0) | Q(begun__lt=F("since"))).order_by("pk"):
        whole.since = min(whole.since, whole.begun or whole.since)
        if not whole.firing:
            whole.state, whole.end = Incident.State.RESOLVED, Incident.End.CLEAR
            if not whole.many:  # their sensors were removed
                whole.end = Incident.End.CHANGED
            elif not whole.holding:
                whole.state, whole.end = Incident.State.WITHDRAWN, Incident.End.LATE
            whole.resolved_at = max(whole.since, whole.over or now)
            whole.ended_seen_at = now
            whole.sequence += 1
            ended.append(whole)
        whole.save(update_fields=["since", "state", "end", "resolved_at", "ended_seen_at", "sequence"])
    outbox.note(ended, Notification.Event.RESOLVED)
    return ended


def clusters(ones: Sequence[_One]) -> Iterator[tuple[str, list[_One]]]:
    """(subject, those that belong together), each of them once; there is a new one among them.

    A place before a board, since a place may have many: where all are of one board, it is the board's.
    """
    taken: set[int] = set()
    by_location, by_board = defaultdict(list), defaultdict(list)
    for one in sorted(ones, key=lambda one: one.incident.since):
        by_location[one.place.location].append(one)
        by_board[one.place.board].append(one)
    for location, some in by_location.items():
        for run in _runs(some) if location else ():
            taken |= {one.incident.pk for one in run}
            boards = {one.place.board for one in run}
            board = boards.pop() if len(boards) == 1 else ""
            yield (f"board:{board}" if board else f"location:{location}"), run
    for board, some in by_board.items():
        left = [one for one in some if one.incident.pk not in taken]
        for run in _runs(left) if board else ():
            yield f"board:{board}", run


def _runs(ones: Sequence[_One]) -> Iterator[list[_One]]:
    """Of those in the order of time, each run in which none began long after the one before."""
    run: list[_One] = []
    for one in ones:
        if run and one.incident.since - run[-1].incident.since > WINDOW:
            yield from _enough(run)
            run = []
        run.append(one)
    yield from _enough(run)


def _enough(run: list[_One]) -> Iterator[list[_One]]:
    if len(run) >= FEWEST and any(one.is_new for one in run):
        yield run


# --- what is there --------------------------------------------------------------------------------


def _new(fired: Sequence[Incident]) -> list[Incident]:
    """Without those that fire again and whose whole lasts still; those whose is over stand alone again."""
    of_one = [one for one in fired if one.kind in _KINDS and not is_whole(one.kind, one.subject)]
    new = [one for one in of_one if one.rule_id is not None]
    parts = [one.part_of_id for one in new if one.part_of_id is not None]
    if parts:
        last = set(Incident.objects.open().filter(pk__in=parts).values_list("pk", flat=True))
        new = [one for one in new if one.part_of_id is None or one.part_of_id not in last]
        for one in new:
            one.part_of = None
        Incident.objects.bulk_update(new, ["part_of"], batch_size=500)
    return new


def is_whole(kind: str, subject: str) -> bool:
    """As _WHOLE has it. Also that we are behind is no sensor's."""
    if kind not in _KINDS:
        return False
    return subject.startswith("location:") or (kind == Kind.SILENCE and not subject.startswith("sensor:"))


def _by_rule(new: Sequence[Incident]) -> dict[int, list[_One]]:
    """The new ones, and those that were told alone and began close to them."""
    first, last = min(one.since for one in new), max(one.since for one in new)
    alone = Incident.objects.open().filter(
        Q(sensor__isnull=False) | Q(kind=Kind.BOARD.value),
        rule__in={one.rule_id for one in new},
        part_of=None,
        since__range=(first - WINDOW, last + WINDOW),
    )
    before = list(alone.exclude(_WHOLE).exclude(pk__in=[one.pk for one in new]))
    places = _places([*new, *before])
    found: defaultdict[int, list[_One]] = defaultdict(list)
    for ones, are_new in ((new, True), (before, False)):
        for one in ones:
            found[one.rule_id or 0].append(_One(one, places.get(one.subject, Place()), are_new))
    return found


def _places(incidents: Iterable[Incident]) -> Mapping[str, Place]:
    """By subject."""
    sensors = {one.sensor_id: one.subject for one in incidents if one.sensor_id is not None}
    rows = SensorStatus.objects.filter(pk__in=sensors).values_list("pk", "sensor__location", "board__name")
    found = {sensors[pk]: Place(location, board or "") for pk, location, board in rows}
    boards = [one.subject.partition(":")[2] for one in incidents if one.sensor_id is None]
    if boards:
        of_boards = SensorStatus.objects.filter(board__name__in=boards)
        locations: defaultdict[str, set[str]] = defaultdict(set)
        for board, location in of_boards.values_list("board__name", "sensor__location").distinct():
            locations[board].add(location)
        for board in boards:
            there = locations[board]
            found[f"board:{board}"] = Place(there.pop() if len(there) == 1 else "", board)
    return found


def _wholes(new: Sequence[Incident]) -> dict[int, list[_Whole]]:
    """Those that are open, of the rules of the new ones."""
    rows: Any = Incident.objects.open().filter(_WHOLE, sensor=None, rule__in={one.rule_id for one in new})
    found: defaultdict[int, list[_Whole]] = defaultdict(list)
    for one in rows.annotate(begun=Min("parts__since"), latest=Max("parts__since")).order_by("pk"):
        found[one.rule_id or 0].append(_Whole(one, one.begun or one.since, one.latest or one.since))
    return found


# --- what becomes of it ---------------------------------------------------------------------------


def _begin(subject: str, some: Sequence[_One], now: datetime) -> Incident:
    parts = [one.incident for one in some]
    whole = Incident(
        rule=parts[0].rule,
        title=parts[0].title,
        kind=parts[0].kind,
        severity=parts[0].severity,
        subject=subject,
        since=min(one.since for one in parts),
        fired_at=min(one.fired_at for one in parts),
        seen_at=now,
    )
    if all(one.state != _FIRING for one in parts):
        # All of it passed before anybody looked.
        whole.state, whole.end = Incident.State.RESOLVED, Incident.End.CLEAR
        whole.resolved_at = max(one.resolved_at or one.since for one in parts)
        whole.ended_seen_at = now
    whole.save(force_insert=True)
    return whole


def _join(whole: Incident, some: Sequence[_One]) -> list[Incident]:
    for one in some:
        one.incident.part_of = whole
    return [one.incident for one in some]


def _tell(whole: Incident, again: bool) -> None:
    """`again`: as many more are silent as make one of many."""
    if again:
        whole.sequence += 1
        whole.save(update_fields=["sequence"])
    outbox.note([whole], Notification.Event.FIRING)
    if whole.state != _FIRING:
        whole.sequence += 1
        whole.save(update_fields=["sequence"])
        outbox.note([whole], Notification.Event.RESOLVED)
