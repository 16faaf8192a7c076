"""A worker outlives its Redis and its children, and can be stopped while Redis is away."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from billiard.pool import READY
from billiard.reduction import ForkingPickler
from celery.concurrency import get_implementation
from kombu import Connection, Queue
from kombu.asynchronous import Hub

from batches.store import BatchStore
from config.celery import app
from config.worker import Consumer, Pool
from runner.services import Redis
from tests.journey.system import wait_for

PROJECT = Path(__file__).parents[1]
# Celery says so of whoever makes a worker as root; these start none.
pytestmark = pytest.mark.filterwarnings("ignore:You're running the worker with superuser privileges")


@pytest.mark.timeout(60)
def test_an_event_does_not_wait_for_a_redis_that_is_away(tmp_path: Path) -> None:
    redis = Redis(tmp_path).start()
    try:
        with app.connection_for_write(redis.url) as connection:
            events = app.events.Dispatcher(connection)
            # As celery.worker.heartbeat.Heart sends it.
            events.send("worker-heartbeat", retry=True)
            assert not events._outbound_buffer
            redis.kill()
            events.send("worker-heartbeat", retry=True)
            assert len(events._outbound_buffer) == 1, "it is kept for the next connection"
            events.close()
    finally:
        redis.stop()


def raise_deeply(depth: int, what: str) -> None:
    try:
        if depth:
            raise_deeply(depth - 1, what)
        else:
            raise ConnectionError("the first")
    except Exception as error:
        raise ConnectionError(what) from error


class Unpicklable(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("not this one")


def raise_unpicklable() -> None:
    raise Unpicklable("it says why")


class Unreadable(Exception):
    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}, {why}")


def raise_unreadable() -> None:
    raise Unreadable("it", "says why")


@pytest.mark.parametrize(
    ("fail", "kind", "text"),
    [
        (lambda: raise_deeply(0, "Error 111"), ConnectionError, "Error 111"),
        (lambda: raise_deeply(60, "Error 111"), ConnectionError, "Error 111"),
        (lambda: raise_deeply(2, "long " * 100_000), RuntimeError, "ConnectionError: long long"),
        (lambda: raise_deeply(2, "\N{SNOWMAN}" * 100_000), RuntimeError, "ConnectionError: \N{SNOWMAN}"),
        (lambda: raise_deeply(2, "\ud800" * 100_000), RuntimeError, "ConnectionError: ?"),
        (raise_unpicklable, RuntimeError, "Unpicklable: it says why"),
        (raise_unreadable, RuntimeError, "Unreadable: it, says why"),
    ],
)
def test_a_failed_task_comes_from_the_pool_in_one_piece(fail: Any, kind: type[Exception], text: str) -> None:
    try:
        fail()
    except Exception:
        failure = ExceptionInfo()
    # As bytes: the failure's traceback holds this very frame, and no buffer in such a ring ends quietly.
    message = bytes(ForkingPickler.dumps((READY, (2**31, None, (1, (True, failure, 240.0)), 1024))))
    assert len(message) + 4 <= select.PIPE_BUF
    told = ForkingPickler.loads(message)[1][2][1][1]
    assert type(told) is ExceptionInfo
    assert type(told.exception) is kind is told.type
    assert str(told.exception).startswith(text)
    assert str(failure)[-300:] == told.traceback[-300:] or "\ud800" in str(failure)
    assert told.internal is False


@pytest.mark.timeout(60)
def test_a_lost_connection_that_cannot_be_closed_does_not_end_the_worker(tmp_path: Path) -> None:
    redis = Redis(tmp_path).start()
    try:
        consumer = app.Worker(pool_cls="solo", quiet=True).consumer
        assert type(consumer) is Consumer
        consumer.connection = connection = app.connection_for_read(redis.url)
        channel = connection.default_channel
        queue = Queue("held", channel=channel)
        queue.declare()
        app.amqp.Producer(channel).publish("a task", routing_key="held")
        taken: list[object] = []
        channel.basic_consume("held", no_ack=False, callback=taken.append, consumer_tag="worker")
        while not taken:
            connection.drain_events(timeout=10)
        # It holds a task that is not acknowledged, and both of its channels wait for more.
        other = connection.channel()
        other.basic_consume("held", no_ack=False, callback=taken.append, consumer_tag="other")
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.1)
        redis.kill()
        consumer.on_connection_error_after_connected(ConnectionError("as Celery's loop found out"))
        assert consumer.connection is None, "the next start makes a new one"
    finally:
        redis.stop()


@pytest.fixture
def pool() -> Iterator[Pool]:
    """With one child, as a worker has it."""
    pool = Pool(1, app=app, threads=False)
    pool.start()
    yield pool
    pool.terminate()


def end_of(child: Any) -> None:
    os.kill(child.pid, signal.SIGKILL)
    wait_for(lambda: child.exitcode is not None, "the end of a child")


def test_a_child_whose_end_was_seen_does_not_end_the_worker_on_a_new_connection(pool: Pool) -> None:
    hub = Hub()
    pool.register_with_event_loop(hub)
    (child,) = pool._pool._pool
    # As in Celery's loop where the end is seen before the child can be waited for, and Redis is lost then.
    pool._pool._untrack_child_process(child, hub)
    end_of(child)
    hub = Hub()
    pool.register_with_event_loop(hub)
    loop = hub.create_loop()

    def replaced() -> bool:
        next(loop)
        return bool(pool._pool._pool) and pool._pool._pool[0] is not child

    wait_for(replaced, "another child")


def test_a_child_that_was_killed_before_redis_was_there_is_replaced(pool: Pool) -> None:
    (child,) = pool._pool._pool
    end_of(child)
    pool.register_with_event_loop(Hub())
    assert pool.did_start_ok()
    (another,) = pool._pool._pool
    assert another is not child


def test_workers_have_that_pool() -> None:
    assert get_implementation(app.conf.worker_pool) is Pool


def test_a_stop_that_is_held_up_ends() -> None:
    program = """
import subprocess, threading, types
import billiard
from config.worker import EndsInTime
EndsInTime.MARGIN_SECONDS = 0
child = billiard.Process(target=threading.Event().wait)
child.start()
print(child.pid, flush=True)
conf = types.SimpleNamespace(task_time_limit=0.2)
EndsInTime(None).close(types.SimpleNamespace(app=types.SimpleNamespace(conf=conf)))
threading.Event().wait()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert "still stopping" in done.stderr
    child = Path(f"/proc/{int(done.stdout)}")
    deadline = time.monotonic() + 10
    while child.exists() and "zombie" not in (child / "status").read_text():
        assert time.monotonic() < deadline, "the child of the pool outlives its worker"
        time.sleep(0.02)


def test_every_worker_ends_in_time() -> None:
    worker = app.Worker(pool_cls="solo", quiet=True)
    assert "config.worker.EndsInTime" in {step.name for step in worker.steps}


def test_a_task_is_packed_and_asks_for_no_result(store: BatchStore) -> None:
    app.send_task("monitoring.refresh_rollups", queue="a queue")
    (sent,) = store.redis.lrange("a queue", 0, -1)
    assert json.loads(sent)["content-type"] == "application/x-msgpack"
    app.loader.import_default_modules()
    assert app.tasks["monitoring.refresh_rollups"].ignore_result is True


def test_a_worker_takes_no_task_ahead() -> None:
    """What one took ahead of its time would wait for it, while another worker rests."""
    consumer = app.Worker(pool_cls="solo", concurrency=3, quiet=True).consumer
    assert consumer.initial_prefetch_count == 3


class Enough(BaseException):
    pass


def test_a_worker_tries_its_broker_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    def refuse(self: Connection, *args: object, **kwargs: object) -> None:
        nonlocal tries
        tries += 1
        if tries > 500:
            raise Enough
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(Connection, "_connection_factory", refuse)
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda seconds: None)
    consumer = app.Worker(pool_cls="solo", quiet=True).consumer
    with app.connection_for_read() as connection, pytest.raises(Enough):
        consumer.ensure_connected(connection)
