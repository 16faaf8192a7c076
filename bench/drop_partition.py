"""Dropping a full partition while measurements come in: bytes given back, and the longest stall.

    python -m bench.drop_partition [--rows 5000000] [--rate 2000]         (or: make bench-drop)

Starts its own PostgreSQL (durable, as `make run` has it) and Redis, fills a partition that is past its
retention, ingests whole batches of 100 messages in a steady stream, and drops the partition: at first
while somebody reads the table in an open transaction, then with nobody in the way.
"""

import argparse
import os
import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg2

from bench import ground
from bench.stream import BATCH, Stream
from runner.services import Postgres, Redis

SENSORS = 50
CHUNK = 100_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rate", type=int, default=2_000, help="messages a second")
    arguments = parser.parse_args()
    with (
        ground.folder() as folder,
        Postgres(folder / "postgres") as postgres,
        Redis(folder / "redis") as redis,
    ):
        ground.django_on(ground.environment(folder, postgres.url, redis.url))
        measure(arguments.rows, arguments.rate)


def measure(rows: int, rate: int) -> None:
    from django.core.management import call_command
    from django.db import connection, transaction

    from monitoring.models import Measurement, RetentionRun, Sensor
    from monitoring.upkeep.dropping import drop_partitions
    from monitoring.upkeep.partitions import ensure_partitions, existing

    call_command("migrate", verbosity=0)
    Sensor.objects.register([Sensor(id=number, name=f"Sensor {number}") for number in range(1, SENSORS + 1)])
    now = datetime.now(UTC)
    ensure_partitions(now, now + timedelta(days=1))
    (old,) = ensure_partitions(now - timedelta(days=800), now - timedelta(days=800))
    start = existing()[old].start
    step = timedelta(days=27) / rows
    bar = ground.progress("rows")
    with connection.cursor() as cursor:
        for done in range(0, rows, CHUNK):
            cursor.execute(
                "INSERT INTO monitoring_measurement (sensor_id, created_at, received_at, value, unit)"
                " SELECT 1 + i %% %s, %s + i * %s, %s, random(), 'V' FROM generate_series(%s, %s) AS i",
                [SENSORS, start, step, start, done, min(done + CHUNK, rows) - 1],
            )
            bar.show(done + CHUNK, min(1, (done + CHUNK) / rows), f"filling {old}")
        cursor.execute(f"ANALYZE {old}")
    bar.line(f"{old}: {rows:,} rows")

    over, stream = threading.Event(), Stream(rate, SENSORS)
    took = stream.took
    thread = threading.Thread(target=stream.run, args=[over], daemon=True)
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
    print(f"given back: {run.freed:,} bytes, {run.rows:,} rows")
    print(f"failures of ingest: {stream.failures or 'none'}")
    print(f"stored meanwhile: {stored:,} of {len(took) * BATCH:,} messages")
    for name, part in (("before", took[:before]), ("during", took[before:during]), ("after", took[during:])):
        late = sorted(part)
        print(
            f"{name}: {len(late)} batches of {BATCH}, p50 {late[len(late) // 2] * 1000:.0f} ms,"
            f" longest {late[-1] * 1000:.0f} ms"
        )


def _wait(seconds: int, what: str) -> None:
    bar = ground.progress("seconds")
    for waited in range(seconds):
        bar.show(waited, waited / seconds, what)
        time.sleep(1)
    bar.line(f"{what}: {seconds} s")


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.2f} s"


if __name__ == "__main__":
    main()
