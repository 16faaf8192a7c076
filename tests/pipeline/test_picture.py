"""The picture of the pipeline, held against what was sent."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from batches.store import BatchStore
from monitoring.ingest import work
from monitoring.models import IngestBatch, IngestTotal, RejectedMinute
from monitoring.pipeline import picture, state
from monitoring.pipeline.picture import Picture, Step
from monitoring.upkeep import expiring, folding
from monitoring.upkeep.pieces import TimeShare
from process import heartbeat
from tests.pipeline.sending import GOOD, OTHER, SendAll

TIMED = b'{"sensor_id": 3, "value": 1, "ts": %d}'


def sums(found: Picture) -> tuple[int, int, int, dict[str, int]]:
    rejected = {code: sum(step.rejected.get(code, 0) for step in found.steps) for code in found.codes}
    received, stored, duplicates = (
        sum(getattr(step, name) for step in found.steps) for name in ("received", "stored", "duplicates")
    )
    return received, stored, duplicates, rejected


def test_each_message_is_in_the_picture_once(store: BatchStore, send: SendAll) -> None:
    timed = TIMED % int(time.time() - 60)
    send(GOOD, GOOD, timed, b"[", OTHER)
    send(timed, b"[", b"[" * 3)
    send(GOOD, stored=False)
    found = picture.look(3, store)
    assert sums(found) == (9, 3, 1, {"not_json": 3, "unknown_sensor": 1})
    assert found.codes == ["not_json", "unknown_sensor"]
    assert [step.start for step in found.steps] == sorted(step.start for step in found.steps)
    assert (len(found.steps), found.minutes, found.is_whole) == (180, 1, True)
    assert found.steps[-1].start <= datetime.now(UTC) < found.steps[-1].start + timedelta(minutes=2)
    assert sum(step.readings for step in found.steps) == 8


@pytest.mark.parametrize(("hours", "steps", "minutes"), [(1, 60, 1), (3, 180, 1), (6, 72, 5), (24, 96, 15)])
def test_counting_into_totals_changes_no_picture(
    store: BatchStore, send: SendAll, hours: int, steps: int, minutes: int
) -> None:
    for _ in range(3):
        send(GOOD, b"[")
    then = datetime.now(UTC) - timedelta(minutes=40)
    IngestBatch.objects.update(ingested_at=then)
    RejectedMinute.objects.update(start=then.replace(second=0, microsecond=0))
    send(GOOD, GOOD)
    before = picture.look(hours, store)
    assert (len(before.steps), before.minutes) == (steps, minutes)
    assert folding.fold(TimeShare())["counted"] == 3
    after = picture.look(hours, store, now=before.steps[-1].start + timedelta(seconds=1))
    assert after.steps == before.steps
    assert sums(after) == (8, 5, 0, {"not_json": 3})
    busy = [step for step in after.steps if step.readings]
    assert len(busy) == 2
    assert busy[0] == Step(busy[0].start, 0, 3, 0, {"not_json": 3})


def test_what_was_imported_or_replayed_was_not_received(
    store: BatchStore, send: SendAll, now: datetime
) -> None:
    send(GOOD)
    for source in ("import", "replay"):
        IngestTotal.objects.create(
            start=now, source=source, batches=1, messages=0, readings=9, stored=9, duplicates=0, rejected=0
        )
    assert sums(picture.look(1, store))[1] == 1


def test_latency_is_weighted_by_messages(store: BatchStore, send: SendAll) -> None:
    assert picture.look(1, store).latency == picture.Latency(0, None, None, None, None)
    send(*[GOOD] * 98, ago=12)
    send(GOOD, GOOD, ago=60)
    found = picture.look(1, store).latency
    assert found == picture.latency()
    assert found.messages == 100
    # The test is one transaction, which began before the batches came.
    assert 1 < (found.p50 or 0) < 30 < 50 < (found.p99 or 0) < 90
    assert 12 <= (found.waited_p50 or 0) < 30 < 60 <= (found.waited_p99 or 0) < 90
    send(GOOD, ago=-60)  # the bridge's clock is ahead
    IngestBatch.objects.exclude(messages=1).delete()
    assert picture.latency() == picture.Latency(1, 0, 0, 0, 0)


def test_it_costs_one_query_and_says_what_it_does_not_know(send: SendAll) -> None:
    send(GOOD)
    with CaptureQueriesContext(connection) as queries:
        found = picture.look(24, None)
    assert len(queries) == 1
    assert (sums(found)[:2], found.is_whole) == ((0, 1), False)


def test_received_is_told_of_each_minute(store: BatchStore, send: SendAll, now: datetime) -> None:
    hour = int(now.timestamp()) // 3600
    store.redis.hset(f"iot:received:{hour - 1}", mapping={"59": 7, "3": 2})
    store.redis.hset(f"iot:received:{hour}", mapping={"0": 5})
    assert store.received((hour - 1) * 3600 + 240, hour * 3600 + 60) == {hour * 3600 - 60: 7, hour * 3600: 5}
    assert store.received((hour - 1) * 3600, hour * 3600) == {hour * 3600 - 3420: 2, hour * 3600 - 60: 7}
    store.redis.flushdb()
    send(GOOD, GOOD, stored=False)
    (key,) = store.redis.keys("iot:received:*")
    assert 25 * 3600 < store.redis.ttl(key) <= 26 * 3600


def test_minutes_of_codes_are_kept_for_two_days(db: None, now: datetime) -> None:
    for days in (1, 3):
        RejectedMinute.objects.create(start=now - timedelta(days=days), code="not_json", seen=1)
    expiring.delete_expired(TimeShare())
    assert RejectedMinute.objects.get().start == now - timedelta(days=1)


def test_batches_stored_together_are_counted_together(store: BatchStore, send: SendAll) -> None:
    for _ in range(5):
        send(GOOD, b"[", b"[", OTHER, stored=False)
    work(store, lambda attempt: None)
    assert sums(picture.look(1, store)) == (20, 5, 0, {"not_json": 10, "unknown_sensor": 5})


def test_the_state(store: BatchStore, send: SendAll) -> None:
    send(GOOD, GOOD, stored=False)
    for process in ("worker", "bridge@hall", "flower"):
        heartbeat.beat(store.redis, process)
    store.redis.delete("iot:heartbeat:worker")
    store.redis.zadd("iot:heartbeats", {"worker": time.time() - 300})
    found = state.read(store)
    assert (found.pending_messages, found.pending_batches, found.missing) == (2, 1, 0)
    assert 0 <= (found.oldest_s or -1) < 60
    assert {name: sign.works for name, sign in found.processes.items()} == {
        **dict.fromkeys(("worker", "upkeep", "beat", "web"), False),
        **dict.fromkeys(("bridge@hall", "flower"), True),
    }
    assert 299 < (found.processes["worker"].age_s or 0) < 400
    assert found.processes["beat"].age_s is None
    assert 0 <= (found.processes["flower"].age_s or 0) < 60
