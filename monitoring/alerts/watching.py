"""In a worker: what was stored is held against the rules, soon after the commit.

A thread of its own looks, at most once a second, at what batches stored meanwhile. Of nearly all readings a
comparison says that no rule is concerned: they lie past no threshold, and their sensor is normal. Those pairs
of a rule and a sensor that are left are evaluated.

This is the quick path, at most once: a worker may die between the commit and this, and what is too much is
left out. What it leaves, the refresh of the rollups finds in the ledger (touched), and the job evaluates.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from django.db import close_old_connections

from monitoring.alerts.coverage import Watched, edition, watched, watched_for
from monitoring.alerts.evaluating import Known, Outcome, evaluate
from monitoring.alerts.rule import OF_VALUES, Kind, Phase
from monitoring.ingest import after_commit
from monitoring.ingest.after_commit import Newest
from monitoring.ingest.follower import EVERY_SECONDS, Follower
from monitoring.models import AlertState
from monitoring.models.alert_state import Busy, Pair

logger = logging.getLogger(__name__)

# What rules of rates and stuck values may take: each reading concerns them, and the job comes to them too.
SHARE = 0.01
# How long a sensor's kind, location and board are cached: sensors that send once a minute are asked for once
# in several. What is missed meanwhile, the job evaluates.
BELIEVED_SECONDS = 300.0
# The bound of the queue, in batches.
WAITING = 1_000
PIECE = 200


class Band(NamedTuple):
    """A sensor's rules, for one quick comparison with each reading.

    `values`: rules of values, none of which a reading between `low` and `high` concerns. `always`: rules that
    each reading concerns.
    """

    low: float
    high: float
    values: tuple[Watched, ...]
    always: tuple[Watched, ...]
    by_id: Mapping[int, Watched]

    @classmethod
    def of(cls, rules: Iterable[Watched]) -> "Band | None":
        """None where the sensor has no rules."""
        rules = tuple(rules)
        values = tuple(rule for rule in rules if rule.kind in OF_VALUES)
        always = tuple(rule for rule in rules if rule.kind in (Kind.RATE, Kind.STUCK))
        if not rules:
            return None
        low = max((rule.low for rule in values if rule.low is not None), default=float("-inf"))
        high = min((rule.high for rule in values if rule.high is not None), default=float("inf"))
        return cls(low, high, values, always, {rule.id: rule for rule in rules})


class Watching:
    """Of one process."""

    def __init__(self, every_seconds: float = EVERY_SECONDS) -> None:
        self._every = every_seconds
        self._waiting: list[Mapping[int, Newest]] = []
        self._has_rules = True
        self._edition: tuple[int, int, int] | None = None
        self._looked_at = 0.0
        self._rules: list[Watched] = []
        self._bands: dict[int, Band | None] = {}
        self._believed_until = 0.0
        # What waits for its share of the time, and when that comes.
        self._patient: dict[Pair, int] = {}
        self._patient_until = 0.0
        self._lock = threading.Lock()
        self._follower = Follower("watching alerts", self.look, every_seconds)

    def start(self) -> Callable[[], None]:
        """Subscribes to what batches store. Returns a function that ends that, and the thread."""
        return self._follower.subscribe(self.note, self.is_wanted)

    def is_wanted(self) -> bool:
        """Without rules one batch a second will do: to find out whether there are some by now."""
        return self._has_rules or time.monotonic() - self._looked_at >= self._every

    def note(self, committed: after_commit.Committed) -> None:
        if not committed.stored or not self.is_wanted():
            return
        with self._lock:
            if len(self._waiting) < WAITING:
                self._waiting.append(committed.stored)
        self._follower.wake()

    def look(self) -> Outcome:
        """Evaluates the pairs that what was stored meanwhile concerns. Raises nothing."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        self._looked_at = time.monotonic()
        done = Outcome()
        close_old_connections()
        try:
            self._learn_rules()
            if not self._rules:
                return done
            urgent = self._concerned(waiting)
            self._evaluate(urgent, done)
            self._evaluate_patient(done)
        except Exception:
            logger.warning("alerts of %d batches are left to the job", len(waiting), exc_info=True)
        return done

    def _learn_rules(self) -> None:
        latest = edition()
        if latest != self._edition:
            self._rules, self._edition = watched(), latest
            self._bands.clear()
        self._has_rules = bool(self._rules)
        if time.monotonic() > self._believed_until:
            self._bands.clear()
            self._believed_until = time.monotonic() + BELIEVED_SECONDS

    def _concerned(self, waiting: Iterable[Mapping[int, Newest]]) -> dict[Pair, int]:
        """The pairs that are to be evaluated at once, and since when something of them is new."""
        waiting = list(waiting)
        ids = set().union(*waiting)
        new = [number for number in ids if number not in self._bands]
        if new:
            # Most sensors have the same rules as others.
            of: dict[tuple[Watched, ...], Band | None] = {}
            for number, rules in watched_for(new, self._rules).items():
                if rules not in of:
                    of[rules] = Band.of(rules)
                self._bands[number] = of[rules]
        urgent: dict[Pair, int] = {}
        bands, concerned = self._bands, set()
        for stored in waiting:
            for number, newest in stored.items():
                band = bands[number]
                if band is None:
                    continue
                concerned.add(number)
                if newest.highest > band.high or newest.lowest < band.low:
                    for rule in band.values:
                        if _is_past(rule, newest):
                            _note(urgent, Pair(rule.id, number), newest.oldest_us)
                for rule in band.always:
                    _note(self._patient, Pair(rule.id, number), newest.oldest_us)
        busy = {one.pair: one for one in AlertState.objects.busy(concerned)} if concerned else {}
        for pair, one in busy.items():
            band = bands[pair.sensor_id]
            watched = None if band is None else band.by_id.get(pair.rule_id)
            if watched is None:
                continue
            news = [stored[pair.sensor_id] for stored in waiting if pair.sensor_id in stored]
            if all(_goes_on(watched, one, newest) for newest in news):
                urgent.pop(pair, None)
                continue
            for newest in news:
                _note(urgent, pair, newest.oldest_us)
        return urgent

    def _evaluate(self, pairs: Mapping[Pair, int], done: Outcome) -> None:
        # In the order in which rows are held, so that others wait for a piece of them at most.
        items = iter(sorted(pairs.items()))
        while piece := dict(islice(items, PIECE)):
            done.add(evaluate(piece, Known()))

    def _evaluate_patient(self, done: Outcome) -> None:
        began = time.monotonic()
        if not self._patient or began < self._patient_until:
            return
        pairs, self._patient = self._patient, {}
        self._evaluate(pairs, done)
        self._patient_until = began + (time.monotonic() - began) / SHARE


def _note(pairs: dict[Pair, int], pair: Pair, since: int) -> None:
    pairs[pair] = min(since, pairs.get(pair, since))


def _is_past(rule: Watched, newest: Newest) -> bool:
    """Whether some of what was stored lies past a threshold."""
    over = rule.high is not None and newest.highest > rule.high
    return over or (rule.low is not None and newest.lowest < rule.low)


def _goes_on(rule: Watched, busy: Busy, newest: Newest) -> bool:
    """Whether what was stored changes no more than how far it went, which may wait for the job: all of it
    lies past the threshold, where it fires, or is yet to fire."""
    if rule.kind not in OF_VALUES:
        return False
    if busy.phase == Phase.PENDING and newest.created_us >= busy.fires_at:
        return False
    if busy.phase == Phase.CLEARING:
        return False
    over = rule.high is not None and newest.lowest > rule.high
    return over or (rule.low is not None and newest.highest < rule.low)


def start() -> None:
    """In a process that stores batches."""
    Watching().start()
