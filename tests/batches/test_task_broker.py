"""Celery's broker may be another than the Redis of the batches."""

import json
import logging
import os
import signal
import socket
import subprocess
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest
from marshmallow import ValidationError
from redis import Redis as Client
from redis import RedisError

from batches import dispatch, task_broker
from batches.batch import Batch, Message, time_ordered_id
from batches.dispatch import ENOUGH_TASKS, celery_app, send_ingest
from batches.queues import INGEST_QUEUE
from process.backoff import Backoff
from runner.services import Redis
from tests.runner.running import free_port


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://:pw@host:6379/0",
        "rediss://host",
        "amqp://user:pw@host:5672//",
        "amqps://host/vhost",
        "sentinel://:pw@one:26379/0;sentinel://:pw@two:26379/0",
    ],
)
def test_addresses(url: str) -> None:
    task_broker.check(url)


@pytest.mark.parametrize(
    "url",
    ["host:5672", "http://host", "amqp://", "redis://host:x", "redis://:secret@:6379", "amqp://a;nonsense"],
)
def test_what_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        task_broker.check(url)
    assert "not an address: redis://:password@host:6379/0, amqp://" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path / "redis").start()
    yield server
    server.stop()


@pytest.fixture
def sentinel(master: Redis, tmp_path: Path) -> Iterator[int]:
    """The port of a Sentinel that watches `master`."""
    port = free_port()
    file = tmp_path / "sentinel.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\nsentinel monitor first 127.0.0.1 {master.port} 1\n"
        f"sentinel auth-pass first {master.password}\n"
    )
    process = subprocess.Popen(
        [master.binary(), file, "--sentinel"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    client = Client(port=port, socket_timeout=5)
    while True:
        try:
            if client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "first"):
                break
        except RedisError:
            assert process.poll() is None, "the Sentinel ended"
    yield port
    process.kill()
    process.wait()


def test_a_task_goes_to_the_master_that_sentinel_names(sentinel: int, master: Redis) -> None:
    app = celery_app(f"sentinel://:{master.password}@127.0.0.1:{sentinel}/0", "first")
    batch = Batch(time_ordered_id(), "mqtt:test", [Message(1, "iot/measurements", b"{}")])
    send_ingest(app, batch, 1)
    (task,) = Client.from_url(master.url).lrange(INGEST_QUEUE, 0, -1)
    assert str(batch.id).encode() in b64decode(json.loads(task)["body"])


def a_batch() -> Batch:
    return Batch(time_ordered_id(), "mqtt:test", [Message(1, "iot/measurements", b"{}")])


def test_a_broker_that_is_silent_is_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each batch would wait five seconds behind the one before, and the claim to the name run out."""
    monkeypatch.setattr(dispatch, "SILENT_SECONDS", 0.1)
    monkeypatch.setattr(Backoff, "next", lambda self: 3600.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        app = celery_app(f"amqp://127.0.0.1:{silent.getsockname()[1]}//")
        app.conf.broker_connection_timeout = 0.2
        for _ in range(3):
            send_ingest(app, a_batch(), 1)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert len(caplog.records) == 1


def test_a_broker_that_comes_back_is_sent_to_at_once(master: Redis, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "batches.dispatch")
    app = celery_app(master.url)
    master.stop()
    for _ in range(3):
        send_ingest(app, a_batch(), 1)
    master.start()
    for _ in range(2):
        send_ingest(app, a_batch(), 1)
    assert Client.from_url(master.url).llen(INGEST_QUEUE) == 2
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_task_that_cannot_be_sent_costs_no_time(caplog: pytest.LogCaptureFixture) -> None:
    """The next batch waits behind it."""
    began = time.monotonic()
    send_ingest(celery_app("redis://127.0.0.1:1/0"), a_batch(), 1)
    assert time.monotonic() - began < 4.5
    assert "it will be sent again" in caplog.text


def test_a_redis_that_is_frozen_is_not_waited_for(master: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """Its connections stand, and nothing comes."""
    app = celery_app(master.url)
    send_ingest(app, a_batch(), 1)
    sender = threading.Thread(target=send_ingest, args=[app, a_batch(), 1], daemon=True)
    os.kill(master.pid or 0, signal.SIGSTOP)
    try:
        sender.start()
        sender.join(30)
        assert not sender.is_alive()
    finally:
        os.kill(master.pid or 0, signal.SIGCONT)
    assert "it will be sent again" in caplog.text


def test_a_task_is_packed(master: Redis) -> None:
    send_ingest(celery_app(master.url), a_batch(), 1)
    (sent,) = Client.from_url(master.url).lrange(INGEST_QUEUE, 0, -1)
    assert json.loads(sent)["content-type"] == "application/x-msgpack"


def test_where_many_batches_wait_no_task_is_sent(master: Redis) -> None:
    """Each would cost more than its batch, and the workers that there are have been called."""
    app = celery_app(master.url)
    for pending in range(1, 3 * ENOUGH_TASKS):
        send_ingest(app, a_batch(), pending)
    assert Client.from_url(master.url).llen(INGEST_QUEUE) == ENOUGH_TASKS
