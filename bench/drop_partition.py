"""Dropping a full partition while measurements come in: bytes given back, and the longest stall.

    python -m bench.drop_partition [--rows 5000000] [--rate 2000]

Starts its own PostgreSQL (durable, as `make run` has it) and Redis, fills a partition that is past its
retention, ingests whole batches of 100 messages in a steady stream, and drops the partition: at first
while somebody reads the table in an open transaction, then with nobody in the way.
"""

import argparse
import os
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2

from runner.services import Postgres, Redis

BATCH = 100
SENSORS = 50
CHUNK = 100_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rate", type=int, default=2_000, help="messages a second")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="iot-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres, redis = Postgres(folder / "postgres"), Redis(folder / "redis")
        started = [postgres.start(), redis.start()]
        os.environ |= {
            "ENV_FILES": "0",
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            "SECRET_KEY": "for the bench alone",
            "DATA_DIR": str(folder),
            "LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        try:
            import django

            django.setup()
            measure(arguments.rows, arguments.rate)
        finally:
            for service in started:
                service.stop()


def measure(rows: int, rate: int) -> None:
    from django.core.management import call_command
    from django.db import connection, transaction

    from monitoring.models import Measurement, RetentionRun, Sensor
    from monitoring.partitions import ensure_partitions, existing
    from monitoring.retention import drop_partitions

    call_command("migrate", verbosity=0)
    Sensor.objects.register([Sensor(id=number, name=f"Sensor {number}") for number in range(1, SENSORS + 1)])
    now = datetime.now(UTC)
    ensure_partitions(now, now + timedelta(days=1))
    (old,) = ensure_partitions(now - timedelta(days=800), now - timedelta(days=800))
    start = existing()[old].start
    step = timedelta(days=27) / rows
    with connection.cursor() as cursor:
        for done in range(0, rows, CHUNK):
            cursor.execute(
                "INSERT INTO monitoring_measurement (sensor_id, created_at, received_at, value, unit)"
                " SELECT 1 + i %% %s, %s + i * %s, %s, random(), 'V' FROM generate_series(%s, %s) AS i",
                [SENSORS, start, step, start, done, min(done + CHUNK, rows) - 1],
            )
            print(f"\rfilling {old}: {done + CHUNK:,} of {rows:,} rows", end="", flush=True)
        cursor.execute(f"ANALYZE {old}")
    print()

    over, took, failures = threading.Event(), [], []
    thread = threading.Thread(target=_ingest, args=[over, rate, took, failures], daemon=True)
    thread.start()
    _wait(5, "ingesting as it is")
    before = len(took)
    reader = psycopg2.connect(os.environ["DATABASE_URL"])
    with reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT 1 FROM monitoring_measurement LIMIT 10) AS few")
    began = time.monotonic()
    print(f"dropping while somebody reads: {len(drop_partitions())} dropped, {_since(began)}")
    with reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT 1 FROM monitoring_measurement LIMIT 10) AS few")
    reader.rollback()
    reader.close()
    began = time.monotonic()
    print(f"dropping: {len(drop_partitions())} dropped, {_since(began)}")
    during = len(took)
    _wait(5, "ingesting afterwards")
    over.set()
    thread.join()
    with transaction.atomic():
        run = RetentionRun.objects.get()
        stored = Measurement.objects.count()
    print(f"given back: {run.freed:,} bytes, {run.rows:,} rows; failures of ingest: {failures or 'none'}")
    print(f"stored meanwhile: {stored:,} of {len(took) * BATCH:,} messages")
    for name, part in (("before", took[:before]), ("during", took[before:during]), ("after", took[during:])):
        late = sorted(part)
        print(
            f"{name}: {len(late)} batches of {BATCH}, p50 {late[len(late) // 2] * 1000:.0f} ms,"
            f" longest {late[-1] * 1000:.0f} ms"
        )


def _ingest(over: threading.Event, rate: int, took: list[float], failures: list[Any]) -> None:
    """Each batch's time is counted from when it was due, so a stall shows in all that it held up."""
    from django.conf import settings
    from django.db import connections

    from bridge.batch import Batch, Message, time_ordered_id
    from bridge.store import BatchStore, Receipt
    from monitoring.ingest import End, ingest

    store = BatchStore.at(settings.REDIS_URL, settings.BATCHES_MAX_BYTES)
    due = time.monotonic()
    while not over.is_set():
        due += BATCH / rate
        time.sleep(max(0, due - time.monotonic()))
        first = time.time_ns() // 1000
        messages = [
            Message(first + place, "iot", b'{"sensor_id": %d, "value": 1}' % (1 + place % SENSORS))
            for place in range(BATCH)
        ]
        batch = Batch(time_ordered_id(), "mqtt:bench", messages)
        store.hand_over(batch, Receipt(f"bench:{batch.id}", "", 60))
        end = ingest(store, batch.id).end
        if end is not End.STORED:
            failures.append(end)
        took.append(time.monotonic() - due)
    connections.close_all()


def _wait(seconds: int, what: str) -> None:
    for left in range(seconds, 0, -1):
        print(f"\r{what}: {left} s ", end="", flush=True)
        time.sleep(1)
    print()


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.2f} s"


if __name__ == "__main__":
    main()
