"""Whatever is done with rejected messages, in whatever order: each is stored once; the books are exact."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batches.store import BatchStore
from monitoring.models import Job, Measurement, RejectedMessage, Sensor
from monitoring.rejected import jobs
from monitoring.rejected import replay as story
from monitoring.rejected.dismissal import dismiss
from monitoring.rejected.replay import CutError, NotWaitingError, Outcome, Trial, replay, replay_one
from monitoring.rejected.selection import Selection
from monitoring.upkeep.pieces import TimeShare
from process.failpoints import FailpointError
from tests.examples import examples
from tests.rejected.conftest import Reject, everything, require_exact_books

# Few sensors, times and values, so that they meet; sensors 12 and 13 are registered on the way.
_reading = st.fixed_dictionaries(
    {
        "sensor_id": st.sampled_from([1, 12, 13]),
        "value": st.sampled_from([1.5, 2.5]),
        "ts": st.integers(0, 3),
    },
    optional={"unit": st.sampled_from(["°C", "F"])},
)
_payload = st.one_of(
    _reading,
    _reading.map(lambda reading: reading | {"value": "1"}),
    st.lists(_reading, min_size=1, max_size=4),
    # So many that they are kept whole.
    st.lists(_reading, min_size=40, max_size=45),
    st.just("garbage"),
)
_place = st.integers(0, 5)
_step = st.one_of(
    st.tuples(st.sampled_from(["replay", "dry run", "dismiss", "job"]), _place, st.none()),
    st.tuples(st.sampled_from(["edit", "dry edit"]), _place, _payload),
    st.tuples(st.just("die"), _place, st.sampled_from(["replay.locked", "replay.before_commit"])),
    st.tuples(st.just("register"), st.sampled_from([12, 13]), st.none()),
)


@dataclass
class Model:
    """The table as it is to be: what stands under a key is what came first."""

    noon: datetime
    sensors: dict[int, str] = field(default_factory=lambda: {1: "°C"})
    rows: dict[tuple[int, datetime], tuple[float, str]] = field(default_factory=dict)

    def encode(self, payload: Any) -> bytes:
        if isinstance(payload, str):
            return payload.encode()
        return json.dumps(self._timed(payload), separators=(",", ":")).encode()

    def _timed(self, payload: Any) -> Any:
        if isinstance(payload, list):
            return [self._timed(one) for one in payload]
        return payload | {"ts": self.noon.timestamp() + payload["ts"]}

    def store(self, payload: bytes, only_whole: bool = False) -> bool:
        """Whether all of it is stored, or was."""
        try:
            readings = json.loads(payload)
        except ValueError:
            return False
        before, whole = dict(self.rows), True
        for reading in readings if isinstance(readings, list) else [readings]:
            whole &= self._store_one(reading)
        if only_whole and not whole:
            self.rows = before
        return whole

    def _store_one(self, reading: dict[str, Any]) -> bool:
        sensor, unit = reading["sensor_id"], reading.get("unit")
        expected = self.sensors.get(sensor)
        if expected is None or isinstance(reading["value"], str) or (unit and expected and unit != expected):
            return False
        ts = reading["ts"]  # an element by itself has it as text
        at = datetime.fromisoformat(ts) if isinstance(ts, str) else datetime.fromtimestamp(ts, UTC)
        key = sensor, at
        row = reading["value"], expected or unit or ""
        return self.rows.setdefault(key, row) == row


@pytest.mark.django_db
@settings(
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(payloads=st.lists(_payload, min_size=1, max_size=6), steps=st.lists(_step, max_size=12))
def test_any_mix(
    payloads: list[Any],
    steps: list[tuple[str, int, Any]],
    reject: Reject,
    store: BatchStore,
    ana: User,
    noon: datetime,
) -> None:
    with transaction.atomic():
        store.redis.flushdb()
        model = Model(noon)
        encoded = [model.encode(payload) for payload in payloads]
        reject(*encoded)
        for payload in encoded:
            model.store(payload)
        for step in steps:
            take(step, model, ana)
            found = Measurement.objects.values_list("sensor_id", "created_at", "value", "unit")
            assert {(sensor, at): (value, unit) for sensor, at, value, unit in found} == model.rows
            require_exact_books(store)
        transaction.set_rollback(True)


def take(step: tuple[str, int, Any], model: Model, ana: User) -> None:
    what, place, more = step
    if what == "register":
        if place not in model.sensors:
            model.sensors[place] = ""
            Sensor.objects.create(pk=place, name="late")
        return
    if what == "job":
        expected = [bytes(row.payload) for row in Selection().replayable().order_by("pk")]
        job = jobs.request(Job.Kind.REPLAY, Selection(), ana)
        jobs.work(TimeShare())
        job.refresh_from_db()
        assert (job.state, job.dealt_with) == (Job.State.DONE, len(expected))
        for payload in expected:
            model.store(payload)
        return
    rows = list(RejectedMessage.objects.order_by("pk"))
    if not rows:
        return
    row = rows[place % len(rows)]
    waits = row.state == RejectedMessage.State.WAITING
    payload = bytes(row.payload)
    if what == "dismiss":
        assert dismiss([row.pk], ana, "a test") == waits
    elif what == "die":
        dies_at(more, row.pk, ana, waits and not row.is_cut)
    elif what in ("dry run", "dry edit"):
        before = everything()
        replay([row.pk], ana, payload=None if more is None else model.encode(more), trial=Trial())
        assert everything() == before
    elif not waits:
        with pytest.raises(NotWaitingError):
            replay_one(row.pk, ana, payload=b"1")
    elif what == "edit":
        changed = model.encode(more)
        outcome = replay_one(row.pk, ana, payload=changed).outcome
        assert (outcome is not Outcome.REJECTED) == model.store(changed, only_whole=True)
    elif row.is_cut:
        with pytest.raises(CutError):
            replay_one(row.pk, ana)
    else:
        replay_one(row.pk, ana)
        model.store(payload)


def dies_at(point: str, pk: int, ana: User, waits: bool) -> None:
    """What a death leaves is what a rollback leaves; real ones are in test_jobs."""

    def failpoint(name: str, at_hand: bytes = b"") -> None:
        if name == point:
            raise FailpointError(name)

    before = everything()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(story, "failpoint", failpoint)
        if waits:
            with pytest.raises(FailpointError):
                replay([pk], ana)
        else:
            assert replay([pk], ana) == []
    assert everything() == before
