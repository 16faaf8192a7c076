"""Up to when we know what was sent, and whether we are behind."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from batches.batch import Batch, Message, time_ordered_id
from batches.connect import connect
from batches.names import Names
from batches.store import BatchStore, Receipt
from monitoring.status import Why, behind
from monitoring.status.looking import job
from monitoring.status.reach import note_look, reach
from monitoring.status.rule import Outage
from monitoring.upkeep.pieces import TimeShare
from process.heartbeat import beat


def to_us(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_it_works(at_work: BatchStore, now: datetime) -> None:
    known = reach(at_work, now)
    assert known.until == now
    assert not known.is_behind(now)
    assert behind(now) is None


def test_nothing_is_known_where_no_bridge_was_ever_there(store: BatchStore, now: datetime) -> None:
    assert reach(store, now).until is None
    assert behind(now) == (None, Why.BRIDGE)


def test_nothing_is_known_where_redis_is_away(now: datetime) -> None:
    known = reach(BatchStore(connect("redis://127.0.0.1:1/0", 1), 2**20), now)
    assert (known.until, known.why) == (None, Why.REDIS)
    assert known.is_behind(now)


def test_a_batch_that_waits_for_long_says_since_when(at_work: BatchStore, now: datetime) -> None:
    batch = Batch(time_ordered_id(), "mqtt:test", [Message(to_us(now), "iot/measurements", b"{}")])
    before = time.time()
    at_work.hand_over(batch, Receipt("test", "", 60))
    later = now + timedelta(seconds=60)
    Names(at_work.redis).note_serving("default", (now - timedelta(days=1)).timestamp(), later.timestamp())
    found = behind(later)
    assert found is not None
    assert found.why is Why.PENDING
    assert found.since is not None
    assert at(before - 1) < found.since < at(time.time() + 1)


def test_a_bridge_that_says_nothing_any_more_says_since_when(at_work: BatchStore, now: datetime) -> None:
    found = behind(now + timedelta(seconds=30))
    assert found == (now, Why.BRIDGE)


def test_one_that_has_just_come_back_waits_for_what_the_broker_kept(
    at_work: BatchStore, now: datetime
) -> None:
    back = now + timedelta(hours=1)
    names = Names(at_work.redis)
    names.note_serving("default", back.timestamp(), back.timestamp())
    assert behind(back) == (now, Why.CATCHING_UP)
    later = back + timedelta(seconds=40)
    names.note_serving("default", back.timestamp(), later.timestamp())
    assert behind(later) is None
    assert reach(at_work, later).outage == Outage(now, back)


def test_a_bridge_of_an_earlier_version_says_that_it_lives(store: BatchStore) -> None:
    beat(store.redis, "bridge")
    beat(store.redis, "worker")
    assert behind() is None


def test_each_bridge_counts_until_it_was_given_up(at_work: BatchStore, now: datetime) -> None:
    names = Names(at_work.redis)
    beat(at_work.redis, "bridge@hall")
    names.note_serving("hall", now.timestamp() - 9, now.timestamp())
    for seconds, expected in ((60, (now, Why.BRIDGE)), (4000, None)):
        later = now + timedelta(seconds=seconds)
        names.note_serving("default", (now - timedelta(days=1)).timestamp(), later.timestamp())
        assert behind(later) == expected


def test_without_a_worker_we_are_behind(at_work: BatchStore, now: datetime) -> None:
    at_work.redis.delete("iot:heartbeat:worker")
    later = now + timedelta(seconds=60)
    Names(at_work.redis).note_serving("default", (now - timedelta(days=1)).timestamp(), later.timestamp())
    found = behind(later)
    assert found is not None
    assert found.why is Why.WORKER


def test_a_job_that_does_not_run_leaves_what_is_shown_behind(at_work: BatchStore, now: datetime) -> None:
    note_look(at_work.redis, now - timedelta(minutes=2))
    assert behind(now) == (now - timedelta(minutes=2), Why.UPKEEP)


@pytest.mark.django_db
def test_the_job_says_that_it_ran(at_work: BatchStore, now: datetime) -> None:
    note_look(at_work.redis, now - timedelta(minutes=2))
    looked = job(at_work, TimeShare())
    assert not looked.reach.is_behind(now)
    assert behind(now) is None
