"""Workers that are away until the store is full: afterwards everything is stored."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from batches.batch import Batch, Message, time_ordered_id
from batches.dispatch import ENOUGH_TASKS, celery_app, send_ingest
from batches.queues import INGEST_QUEUE
from batches.store import BatchStore, Receipt, StoreFullError
from monitoring.models import IngestBatch, Measurement, Sensor
from runner.services import Redis

pytestmark = pytest.mark.django_db(transaction=True)
PROJECT = Path(__file__).parents[2]
TOPIC = "iot/measurements"
# In the proportion that docker-compose.yml and .env.example have: 512 and 256 MiB.
MAXMEMORY_MIB = 8
BATCHES_MAX_BYTES = MAXMEMORY_MIB * 2**20 // 2


@pytest.fixture
def small_redis(tmp_path: Path) -> Iterator[Redis]:
    redis = Redis(tmp_path / "redis", megabytes=MAXMEMORY_MIB).start()
    yield redis
    redis.stop()


@pytest.fixture
def worker(small_redis: Redis, tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Where a test puts the workers that it starts."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.terminate()
        process.wait(60)


def start_worker(redis: Redis, log: Path) -> subprocess.Popen[bytes]:
    name = connection.settings_dict["NAME"]
    environment = os.environ | {
        "DATABASE_URL": os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{name}",
        "REDIS_URL": redis.url,
        "BATCHES_MAX_BYTES": str(BATCHES_MAX_BYTES),
    }
    command = "-q -A config worker -Q ingest -c 2 --without-gossip --without-mingle -l INFO"
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("celery")), *command.split()],
        cwd=PROJECT,
        env=environment,
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
    )


def fill(store: BatchStore, redis: Redis) -> int:
    """Hands lone messages over, as a bridge in a trickle does, until the store is full; returns how many."""
    app, start = celery_app(redis.url), time.time_ns() // 1000
    for number in range(1_000_000):
        payload = json.dumps({"sensor_id": 3, "type": "light", "value": number, "unit": "V"}).encode()
        batch = Batch(time_ordered_id(), "mqtt:default", [Message(start + number, TOPIC, payload)])
        try:
            _, pending = store.hand_over(batch, Receipt("bridge:default", ""))
        except StoreFullError:
            return number
        send_ingest(app, batch, pending)
    raise AssertionError("it is never full")


def test_all_is_stored_once_workers_are_back(
    small_redis: Redis, worker: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    Sensor.objects.register([Sensor(id=3, name="light")])
    store = BatchStore.at(small_redis.url, BATCHES_MAX_BYTES)
    # Here the speed of the disk does not matter.
    store.redis.config_set("appendfsync", "no")

    messages = fill(store, small_redis)
    memory = store.redis.info("memory")

    assert memory["used_memory"] < memory["maxmemory"] * 0.8, "it is the bound that was reached"
    assert messages > 2000
    assert store.redis.llen(INGEST_QUEUE) == ENOUGH_TASKS
    worker.append(start_worker(small_redis, tmp_path / "worker.log"))
    deadline = time.monotonic() + 100
    while store.figures().pending_batches:
        assert worker[0].poll() is None, (tmp_path / "worker.log").read_text()
        assert time.monotonic() < deadline, store.figures()
        time.sleep(0.05)
    assert Measurement.objects.count() == messages
    assert IngestBatch.objects.sums()["messages"] == store.figures().handed_over == messages
    assert store.figures().pending_bytes == 0
