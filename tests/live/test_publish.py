"""What a worker publishes, by the real Redis: a listener of the test's own."""

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import redis

from batches.store import BatchStore
from monitoring.ingest import after_commit
from monitoring.ingest.after_commit import Committed
from monitoring.live import publish
from monitoring.live.channel import Newest, News, channel
from monitoring.live.publish import Publisher
from runner.services import Redis
from tests.journey.system import wait_for


class Listener:
    def __init__(self, client: Any) -> None:
        self.subscription = client.pubsub(ignore_subscribe_messages=True)
        self.subscription.subscribe(channel(client))
        self.subscription.get_message(timeout=10)
        self.heard = News()
        self.publications = 0

    def listen(self) -> News:
        """All that has come so far, taken together."""
        while (message := self.subscription.get_message()) is not None:
            self.heard.add(News.unpack(message["data"]))
            self.publications += 1
        return self.heard


@pytest.fixture
def listener(store: BatchStore) -> Iterator[Listener]:
    found = Listener(store.redis)
    yield found
    found.subscription.close()


def committed(sensor_id: int, value: float, rows: int = 1, **rejected: int) -> Committed:
    newest = after_commit.one(int(1000 * value), value, "V")._replace(rows=rows)
    return Committed(uuid4(), {sensor_id: newest}, rejected)


def test_it_works(listener: Listener) -> None:
    publisher = Publisher()
    publisher.stored(committed(1, 2.5, 3, empty=2))
    wait_for(lambda: listener.listen(), "the publication")
    assert listener.heard == News({1: Newest(2500, 2.5, 3)}, {"empty": 2}, {})


def test_many_batches_are_few_publications(listener: Listener) -> None:
    publisher = Publisher()
    for value in range(1000):
        publisher.stored(committed(1 + value % 10, value))
    wait_for(lambda: sum(one.n for one in listener.listen().stored.values()) == 1000, "all rows")
    assert listener.publications < 20
    assert listener.heard.stored[10].v == 999


def test_where_nobody_listens_nothing_is_wanted_but_now_and_then(
    store: BatchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "LOOK_SECONDS", 1000)
    publisher = Publisher()
    assert publisher.is_wanted(), "nobody has asked yet"
    publisher.stored(committed(1, 1))
    wait_for(lambda: not publisher.is_wanted(), "the answer that nobody listens")
    listener = Listener(store.redis)
    publisher.stored(committed(1, 3))  # told for somebody else's sake
    assert not publisher._gathered
    monkeypatch.setattr(publish, "LOOK_SECONDS", 0)
    assert publisher.is_wanted()
    publisher.stored(committed(1, 2))  # the batch that is gathered once a second
    monkeypatch.setattr(publish, "LOOK_SECONDS", 1000)
    wait_for(lambda: publisher.is_wanted() and listener.listen(), "the listener being known")
    assert listener.heard.stored == {1: Newest(2000, 2.0, 1)}
    listener.subscription.close()


def test_it_is_told_of_batches_and_stops_being_told(listener: Listener) -> None:
    publisher = Publisher()
    end = after_commit.subscribe(publisher.stored, publisher.is_wanted)
    assert after_commit.is_wanted()
    publisher._is_listened_to, publisher._published_at = False, time.monotonic() + 1000
    assert not after_commit.is_wanted(), "then nothing is gathered"
    end()
    assert not after_commit.is_wanted()


def test_a_status_is_published_from_any_process(listener: Listener) -> None:
    publish.status_changed({3: "late", 4: "ok"})
    wait_for(lambda: listener.listen(), "the publication")
    assert listener.heard == News(changed={3: "late", 4: "ok"})


def test_what_is_left_is_published_at_the_end(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = Publisher()
    monkeypatch.setattr(publish, "_publisher", publisher)
    with publisher._lock:
        publisher._gathered = News(rejected={"empty": 1})
    publish.flush()
    wait_for(lambda: listener.listen(), "the publication")


def test_a_redis_that_is_away_fails_nobody_and_costs_nothing_but_time(
    own_redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = BatchStore.at(own_redis.url, 2**20)
    monkeypatch.setattr(publish, "glance", lambda: store)
    # After a failure its thread waits until the test has begun to listen.
    may_go_on = threading.Event()
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: may_go_on.wait(30))
    monkeypatch.setattr(publish, "time", clock)
    publisher = Publisher()
    own_redis.stop()
    for value in range(100):
        publisher.stored(committed(1 + value % 2, value))
    wait_for(lambda: "Redis does not answer" in caplog.text, "the log")
    with pytest.raises(redis.RedisError):
        publisher.publish()
    own_redis.start()
    listener = Listener(store.redis)
    may_go_on.set()
    wait_for(lambda: sum(one.n for one in listener.listen().stored.values()) >= 100, "all of it")
    assert (listener.heard.stored[1].v, listener.heard.stored[2].v) == (98, 99)
    listener.subscription.close()
    store.redis.close()
