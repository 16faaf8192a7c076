"""What keeping the rollups up to date costs, and whether they are right after a million late rows.

    python -m bench.refresh [--rate 5000] [--sensors 1000] [--seconds 60] [--late 1000000]
                                                                          (or: make bench-rollups)

PostgreSQL and Redis, durable as `make run` has them, and a week of history, one reading of each sensor
every ten minutes. Then, with other processes that hand messages over and ingest them:

1. A steady stream. The rollups are refreshed as often as beat has it, by the task that beat sends; counted
   is the CPU of this process and of its PostgreSQL backend, as a share of one core. At most a fifth.
2. Late rows, spread over that week, as fast as they go in, refreshed meanwhile and until nothing is left.
   Then every minute, hour and day is held against SQL over the raw rows. None may differ.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from random import Random
from typing import Any, NamedTuple

from batches.batch import Message
from bench import cost, ground
from bench.history import DAY, LEVELS, MINUTE, History, compare, fill
from bench.stream import BATCH, TOPIC, Stream, batch_store, store_at_once
from runner.services import Postgres, Redis

MOST_SHARE = 0.2
# As WORKER_CONCURRENCY is where nobody sets it.
WORKERS = 2
LATE_BATCH = 1000
WEEK, STEP = 7 * DAY, 10 * MINUTE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=int, default=5_000, help="messages a second")
    parser.add_argument("--sensors", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--late", type=int, default=1_000_000, help="rows")
    options = parser.parse_args()
    with (
        ground.folder() as folder,
        Postgres(folder / "postgres") as postgres,
        Redis(folder / "redis") as redis,
    ):
        ground.django_on(ground.environment(folder, postgres.url, redis.url))
        over = _measure(options.rate, options.sensors, options.seconds, options.late)
    print("\n".join(f"OVER: {line}" for line in over) or "nothing is over its limit")
    raise SystemExit(bool(over))


def _measure(rate: int, sensors: int, seconds: int, late: int) -> list[str]:
    """Prints the figures; returns what is over its limit."""
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    past = History(sensors, WEEK // STEP, end, STEP)
    fill(os.environ["DATABASE_URL"], past, "a week before")
    over = _keep_up(rate, sensors, seconds)
    _take_late(past, late)
    with connection.cursor() as cursor:
        cursor.execute("SET work_mem = '256MB'")
        for level in LEVELS:
            expected, differing = compare(cursor, level)
            print(
                f"{level}s: {expected:,} by SQL over the raw rows, of which {differing:,} differ", flush=True
            )
            if differing or not expected:
                over.append(f"{differing} of {expected} {level}s differ from SQL over the raw rows; 0 may")
    connection.close()
    return over


# --- a steady stream -----------------------------------------------------------------------------


class Behind(NamedTuple):
    """Ledger entries that no refresh has taken, and the seconds since the oldest was ingested."""

    entries: int
    seconds: float


def _keep_up(rate: int, sensors: int, seconds: int) -> list[str]:
    from monitoring.tasks import refresh_rollups
    from monitoring.upkeep.schedule import JOBS, REFRESH_ROLLUPS

    (job,) = (job for job in JOBS if job.task == REFRESH_ROLLUPS)
    every = job.every
    bar, before, longest, done = ground.progress("batches refreshed"), [], 0.0, 0
    with ExitStack() as stack:
        workers = [stack.enter_context(_Beside(_stream, rate / WORKERS, sensors)) for _ in range(WORKERS)]
        while not _behind().entries and not workers[0].has_ended(0.1):
            pass
        began, used = time.monotonic(), _cpu()
        for tick in range(1, seconds // every + 1):
            time.sleep(max(0, began + tick * every - time.monotonic()))
            before.append(_behind())
            started = time.monotonic()
            done += refresh_rollups()["batches"]
            longest = max(longest, time.monotonic() - started)
            bar.show(done, tick * every / seconds, f"{rate:,} messages a second")
        after = _behind()
        share = (_cpu() - used) / (time.monotonic() - began)
        told = [worker.answer() for worker in workers]
    came, p99 = sum(each for each, _, _ in told), max(late for _, late, _ in told)
    failures = [end for _, _, ends in told for end in ends]
    refresh_rollups()
    bar.line(f"{done:,} batches refreshed")
    print(f"ingested: {came:,.0f} messages a second over {sensors:,} sensors, in batches of {BATCH},")
    print(f"  99 % of them within {p99 * 1000:.0f} ms; failures: {failures or 'none'}")
    print(f"refreshing every {every} s for {seconds} s: {share:.1%} of a core; {done:,} batches were taken,")
    print(f"  the longest took {longest:.2f} s; before one at most {max(before).entries:,} batches waited,")
    print(f"  after the last {after.entries:,}, the oldest for {after.seconds:.2f} s", flush=True)
    over = []
    if share > MOST_SHARE:
        over.append(f"refreshing takes {share:.1%} of a core; {MOST_SHARE:.0%} is the most")
    if after.seconds > every:
        over.append(f"after the last refresh it is {after.seconds:.0f} s behind; {every} s is the most")
    if failures or came < 0.98 * rate:
        over.append(
            f"{came:,.0f} messages a second went in, and not {rate:,}: the figures are of another load"
        )
    return over


def _stream(over: Event, rate: float, sensors: int) -> tuple[float, float, list[str]]:
    """Messages a second, the 99th percentile of a batch's seconds, and how those ended that failed."""
    stream, began = Stream(rate, sensors), time.monotonic()
    stream.run(over)
    came = len(stream.took) * BATCH / (time.monotonic() - began)
    return came, ground.percentile(stream.took, 99), stream.failures


# --- late rows -----------------------------------------------------------------------------------


def _take_late(past: History, late: int) -> None:
    from monitoring.models import Measurement
    from monitoring.tasks import refresh_rollups

    stood, bar, minutes = Measurement.objects.count(), ground.progress("minutes refreshed"), 0
    began = time.monotonic()

    def refresh(note: str) -> int:
        nonlocal minutes
        refreshed = refresh_rollups()
        minutes += refreshed["minutes"]
        bar.show(minutes, min(1.0, minutes / late), note)
        return refreshed["batches"]

    with _Beside(_send_late, past, late) as beside:
        while not beside.has_ended(1):
            refresh("while late rows come in")
        came, failures = time.monotonic() - began, beside.answer()
    while refresh("after the late rows"):
        pass
    took, stored = time.monotonic() - began, Measurement.objects.count() - stood
    bar.line(f"{stored:,} late rows are in and refreshed")
    print(f"late: {stored:,} rows of {late:,} stored within {came:.0f} s, spread over a week before;")
    print(f"  {minutes:,} minutes refreshed within {took:.0f} s; failures: {failures or 'none'}", flush=True)
    if stored < 0.999 * late:
        raise SystemExit(f"{late - stored:,} late rows were not stored")


def _send_late(over: Event, past: History, late: int) -> list[str]:
    """How those batches ended that were not stored."""
    from django.db import connections

    random, store, failures = Random(1), batch_store(), []
    first, length = past.start.timestamp(), int((past.end - past.start) / timedelta(milliseconds=1))
    for sent in range(0, late, LATE_BATCH):
        if over.is_set():
            break
        now = time.time_ns() // 1000
        payloads = [
            b'{"sensor_id": %d, "value": %.3f, "ts": %.3f}'
            % (
                random.randint(1, past.sensors),
                random.randrange(800) / 8,
                first + random.randrange(length) / 1000,
            )
            for _ in range(min(LATE_BATCH, late - sent))
        ]
        end = store_at_once(store, [Message(now + n, TOPIC, one) for n, one in enumerate(payloads)])
        if end != "stored":
            failures.append(end)
    connections.close_all()
    return failures


# --- what both use -------------------------------------------------------------------------------


class _Beside:
    """A process that does what(over, *arguments) and answers with what that returns.

    It ends by itself, or at the end of the block, where `over` is set. Raises EOFError where it failed.
    """

    def __init__(self, what: Callable[..., Any], *arguments: object) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._over = spawn.Event()
        self._answer, answering = spawn.Pipe(duplex=False)
        self._process = spawn.Process(
            target=_answer, args=(answering, what, self._over, *arguments), daemon=True
        )
        self._process.start()
        answering.close()

    def __enter__(self) -> "_Beside":
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._process.join()

    def has_ended(self, seconds: float) -> bool:
        """Waits so long for its answer."""
        return self._answer.poll(seconds)

    def answer(self) -> Any:
        self._over.set()
        return self._answer.recv()


def _answer(answering: Connection, what: Callable[..., Any], over: Event, *arguments: object) -> None:
    ground.django_on({})
    answering.send(what(over, *arguments))


def _behind() -> Behind:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(ingested_at)), 0)"
            " FROM monitoring_ingestbatch WHERE touched_sensors IS NOT NULL"
        )
        entries, seconds = cursor.fetchone()
    return Behind(entries, float(seconds))


def _cpu() -> float:
    """Seconds of CPU that this process and its PostgreSQL backend have used."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    return time.process_time() + cost.cpu_seconds(backend)


if __name__ == "__main__":
    main()
