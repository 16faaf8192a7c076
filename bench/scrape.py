"""What a look at the pipeline costs: `/metrics` for Prometheus, and `/pipeline/` for people.

    python -m bench.scrape [--batches 250000] [--pending 1000] [--repeat 50]         (or: make bench-scrape)

With a ledger of so many batches, a month of totals by the minute of two sources, a day of rejected readings
by code and minute, and batches that wait. The time is from the URL to the bytes of the answer, with
PostgreSQL and Redis on the same machine. Exit code 1 where a median is over the most that is allowed.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

from bench import ground
from runner.services import Postgres, Redis

MOST_MS = 150.0
WARM_UP = 3
TOKEN = "a token for the benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batches", type=int, default=250_000)
    parser.add_argument("--pending", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=50)
    options = parser.parse_args()
    with (
        ground.folder() as folder,
        Postgres(folder / "postgres", durable=False) as postgres,
        Redis(folder / "redis") as redis,
    ):
        (folder / "static").mkdir()
        more = {"API_PUBLIC_READ": "1", "METRICS_TOKEN": TOKEN.replace(" ", "-")}
        ground.django_on(ground.environment(folder, postgres.url, redis.url, **more))
        _fill(options.batches)
        _hand_over(options.pending)
        slow = [name for name, ask in _asked().items() if _measure(name, ask, options.repeat) > MOST_MS]
    raise SystemExit(bool(slow))


def _fill(batches: int) -> None:
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        # Four batches a second, of ninety messages: those of the last two minutes are not counted yet.
        cursor.execute(
            "INSERT INTO monitoring_ingestbatch (id, source, messages, readings, stored, duplicates,"
            " rejected, first_received_at, last_received_at, claimed_at, ingested_at, counted)"
            " SELECT gen_random_uuid(), 'mqtt:default', 90, 90, 89, 0, 1, at - interval '0.3 s', at, at, at,"
            " i > 480 FROM generate_series(0, %s - 1) AS i,"
            " LATERAL (SELECT now() - i * interval '0.25 s') AS moment (at)",
            [batches],
        )
        cursor.execute(
            "INSERT INTO monitoring_ingesttotal"
            " (start, source, batches, messages, readings, stored, duplicates, rejected)"
            " SELECT date_trunc('minute', now()) - i * interval '1 minute', source, 240, 21600, 21600, 21360,"
            " 0, 240 FROM generate_series(2, 31 * 1440) AS i,"
            " unnest('{mqtt:default,http}'::text[]) AS source"
        )
        cursor.execute(
            "INSERT INTO monitoring_rejectedminute (start, code, seen)"
            " SELECT date_trunc('minute', now()) - i * interval '1 minute', code, 60"
            " FROM generate_series(2, 1440) AS i,"
            " unnest('{not_json,bad_type,clock_ahead,too_old}'::text[]) AS code"
        )
        cursor.execute("VACUUM ANALYZE")


def _hand_over(batches: int) -> None:
    from batches.batch import Batch, Message, time_ordered_id
    from batches.store import Receipt
    from monitoring.store import batch_store

    for _ in range(batches):
        batch = Batch(time_ordered_id(), "mqtt:bench", [Message(time.time_ns() // 1000, "t", b"{}")])
        batch_store().hand_over(batch, Receipt(f"bench:{batch.id}", "", 60))


def _asked() -> dict[str, Callable[[], Any]]:
    from django.conf import settings
    from django.test import Client

    from monitoring import books
    from monitoring.dashboard import pipeline
    from monitoring.store import glance

    client = Client(SERVER_NAME="localhost")
    token = {"Authorization": f"Bearer {settings.METRICS_TOKEN}"}

    def page(hours: int) -> bytes:
        pipeline._kept.clear()  # what it answered just before
        return client.get(f"/pipeline/?hours={hours}").content

    return {
        "books.missing": lambda: books.missing(glance()),
        "/metrics": lambda: client.get("/metrics", headers=token).content,
        "/pipeline/?hours=3": lambda: page(3),
        "/pipeline/?hours=24": lambda: page(24),
    }


def _measure(name: str, ask: Callable[[], Any], repeat: int) -> float:
    from django.db import connection

    queries = []

    def count(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        queries.append(sql)
        return execute(sql, *rest)

    for _ in range(WARM_UP):
        ask()
    with connection.execute_wrapper(count):
        said = ask()
    took = []
    for _ in range(repeat):
        began = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began) * 1000)
    size = f", {len(said):,} bytes" if isinstance(said, bytes) else ""
    median = ground.percentile(took, 50)
    print(
        f"{name}: p50 {median:.1f} ms, p99 {ground.percentile(took, 99):.1f} ms, quickest {min(took):.1f} ms,"
        f" {len(queries)} queries{size}; {MOST_MS:.0f} ms are allowed"
    )
    return median


if __name__ == "__main__":
    main()
