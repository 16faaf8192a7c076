"""How fast a backlog of small batches is stored, as it stands in Redis after an outage of PostgreSQL.

    python -m bench.drain [--batches 50000] [--messages 4] [--sensors 1000]      (or: make bench-drain)

PostgreSQL and Redis are started in a temporary folder, durable as `make run` has them. The backlog is handed
over as a bridge in a trickle does, while no worker runs. Then the worker is started as the Procfile has it,
with two children; the time runs from the first batch stored to the last, since starting is not draining.
Nobody sends a task but the worker itself when it comes, as after an outage in which every task was lost.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2

from batches.batch import Batch, Message, time_ordered_id
from batches.store import BatchStore, Receipt
from bench import ground
from bench.cost import cpu_seconds
from bench.ground import PROJECT
from runner.services import Postgres, Redis

TOPIC = "iot/measurements"
LEAST = 10_000  # messages a second
WORKERS = 2
WORKER = "celery -q -A config worker -Q ingest --without-gossip --without-mingle -l WARNING"


def backlog(batches: int, messages: int, sensors: int) -> Iterator[Batch]:
    """Lone messages of many sensors, some together, over the last hour."""
    start = time.time_ns() // 1000 - 3600 * 1_000_000
    for number in range(batches):
        first = number * messages
        yield Batch(
            time_ordered_id(),
            "mqtt:default",
            [
                Message(
                    start + (first + place) * 10_000,
                    TOPIC,
                    b'{"sensor_id": %d, "value": %.2f, "unit": "V"}'
                    % ((first + place) % sensors + 1, (first + place) % 330 / 100),
                )
                for place in range(messages)
            ],
        )


def drain(folder: Path, batches: int, messages: int, sensors: int) -> float:
    """Messages a second."""
    with Postgres(folder / "postgres") as postgres, Redis(folder / "redis") as redis:
        environment = os.environ | ground.environment(
            folder / "data",
            postgres.url,
            redis.url,
            MQTT_URL="mqtt://127.0.0.1",
            WORKER_CONCURRENCY=str(WORKERS),
            PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        )
        (folder / "data").mkdir()
        for command in ("migrate", "first_run"):
            argv = ["python", "manage.py", command, "-v0"]
            subprocess.run(argv, cwd=PROJECT, env=environment, check=True, stdout=subprocess.DEVNULL)
        database = psycopg2.connect(postgres.url)
        database.autocommit = True
        with database.cursor() as cursor:
            cursor.execute(
                "INSERT INTO monitoring_sensor (id, name, kind, unit, is_active, location, added_at)"
                " SELECT n, 'sensor ' || n, '', '', true, '', now() FROM generate_series(1, %s) n"
                " ON CONFLICT (id) DO UPDATE SET kind = '', unit = ''",
                [sensors],
            )
        store = BatchStore.at(redis.url, 2**30)
        _hand_over(store, backlog(batches, messages, sensors), batches)
        worker = subprocess.Popen(
            WORKER.split(),
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            per_second = _until_empty(store, batches, messages)
            used = 1e6 * cpu_seconds(worker.pid) / (batches * messages)
            print(f"CPU of the worker and its children: {used:.1f} us a message")
            with database.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM monitoring_measurement")
                (rows,) = cursor.fetchone()
                cursor.execute("SELECT count(*), sum(stored) FROM monitoring_ingestbatch")
                entries, stored = cursor.fetchone()
            if (rows, entries, stored) != (batches * messages, batches, batches * messages):
                raise SystemExit(f"{rows} rows, {entries} entries in the ledger, which say {stored} stored")
        finally:
            # Not SIGTERM: tasks that find nothing end by the hundred just now, and it may wait half a minute.
            worker.send_signal(signal.SIGQUIT)
            worker.wait(30)
            database.close()
    return per_second


def _hand_over(store: BatchStore, backlog: Iterator[Batch], batches: int) -> None:
    # Handing over is not what is measured; the workers then find a Redis that is durable.
    store.redis.config_set("appendfsync", "no")
    bar = ground.progress("handed over")
    for number, batch in enumerate(backlog, 1):
        store.hand_over(batch, Receipt("bridge:default", ""))
        bar.show(number, number / batches, "backlog")
    store.redis.config_set("appendfsync", "always")
    figures = store.figures()
    bar.line(
        f"backlog: {figures.pending_batches:,} batches, {figures.pending_bytes / 2**20:.0f} MiB as counted"
    )


def _until_empty(store: BatchStore, batches: int, messages: int) -> float:
    bar, began, deadline = ground.progress("stored"), 0.0, time.monotonic() + 300
    at_first = batches
    while True:
        pending, now = store.figures().pending_batches, time.monotonic()
        if not began and pending < batches:
            began, at_first = now, pending
        if not pending:
            return (at_first - pending) * messages / (now - began)
        if now > deadline:
            raise SystemExit(f"{pending} of {batches} batches wait after 300 s")
        bar.show(batches - pending, 1 - pending / batches, "drain")
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batches", type=int, default=50_000)
    parser.add_argument("--messages", type=int, default=4)
    parser.add_argument("--sensors", type=int, default=1000)
    options = parser.parse_args()
    with ground.folder() as folder:
        per_second = drain(folder, options.batches, options.messages, options.sensors)
    print(
        f"{options.batches:,} batches of {options.messages}: {per_second:,.0f} messages/s,"
        f" {per_second / options.messages:,.0f} batches/s (at least {LEAST:,} messages/s are wanted)"
    )
    if per_second < LEAST:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
