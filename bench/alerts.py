"""What evaluating alerts costs a worker, and how soon after its commit a reading has become an incident.

    python -m bench.alerts [--sensors 10000] [--rules 1000] [--rate 5000] [--seconds 30] [--rounds 6]
                                                                            (or: make bench-alerts)

PostgreSQL and Redis, durable as `make run` has them, and one process that hands messages over and ingests.

1. As fast as they go in, by turns with the hook of alerts and without it, with 1,000 sensors and 100 rules
   and then with those asked for: messages a second, the ratio of each two rounds that follow each other, and
   the CPU of the thread that evaluates, as a share of the process's. At most MOST_SHARE of it.
2. At a steady rate, each second a reading of FIRE sensors past their threshold, and then one back: from the
   commit of its batch until its incident is committed, p50 and p99, and the CPU of evaluation a message.
3. The job with nothing due, and with each silence due; and what the ledger's side adds to a refresh.
"""

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median

from batches.batch import Message
from bench import ground
from bench.stream import BATCH, TOPIC, batch_store, store_at_once
from runner.services import Postgres, Redis

MOST_SHARE = 0.03
MOST_P99_S = 2.0
HIGH = 1_000_000.0
FIRE = 5
ROUND = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sensors", type=int, default=10_000)
    parser.add_argument("--rules", type=int, default=1_000)
    parser.add_argument("--rate", type=int, default=5_000, help="messages a second")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    with (
        ground.folder() as folder,
        Postgres(folder / "postgres") as postgres,
        Redis(folder / "redis") as redis,
    ):
        ground.django_on(ground.environment(folder, postgres.url, redis.url))
        over = _measure(options)
    print("\n".join(f"OVER: {line}" for line in over) or "nothing is over its limit")
    raise SystemExit(bool(over))


def _measure(options: argparse.Namespace) -> list[str]:
    """Prints the figures; returns what is over its limit."""
    from django.core.management import call_command
    from django.db import connection

    from monitoring.upkeep.partitions import ensure_partitions

    call_command("migrate", verbosity=0)
    # As a worker has it (config/celery.py): else the thread would connect anew for each look.
    connection.settings_dict["CONN_MAX_AGE"] = None
    now = datetime.now(UTC)
    ensure_partitions(now - timedelta(days=1), now + timedelta(days=1))
    over = []
    for sensors, rules in ((1_000, 100), (options.sensors, options.rules)):
        _make(sensors, rules)
        share = _by_turns(sensors, rules, options.rounds)
        if rules == 100 and share > MOST_SHARE:
            over.append(f"evaluation takes {share:.1%} of ingest's CPU; {MOST_SHARE:.0%} may be")
    p99 = _steadily(options.sensors, options.rules, options.rate, options.seconds)
    if p99 > MOST_P99_S:
        over.append(f"p99 from commit to incident is {p99:.2f} s; {MOST_P99_S:.0f} may be")
    _job(options.sensors)
    connection.close()
    return over


def _make(sensors: int, rules: int) -> None:
    """One silence and one threshold for all, one of a rate for a location of ten, and a rule a sensor."""
    from monitoring.alerts import rules as of
    from monitoring.models import AlertRule, Sensor

    there = Sensor.objects.count()
    Sensor.objects.register(
        [
            Sensor(id=number, name=f"{number}", location=f"room {number // 10}", expected_interval_s=60)
            for number in range(there + 1, sensors + 1)
        ]
    )
    AlertRule.objects.all().delete()
    of.save(AlertRule(name="silent", kind="silence", intervals=10), [], None)
    of.save(AlertRule(name="far too high", kind="above", high=10 * HIGH), [], None)
    of.save(AlertRule(name="fast", kind="rate", high=10 * HIGH, window_s=60, location="room 7"), [], None)
    AlertRule.objects.bulk_create(
        AlertRule(name=f"high {number}", kind="above", high=HIGH, sensor_id=number)
        for number in range(1, rules - 2)
    )


class _Look:
    """What the thread that evaluates took, and when each incident was there."""

    def __init__(self) -> None:
        self.cpu = 0.0
        self.is_on = True
        self.fired_at: dict[int, float] = {}


@contextmanager
def _watched() -> Iterator[_Look]:
    from monitoring.alerts.watching import Watching

    took = _Look()

    class Measured(Watching):
        def is_wanted(self) -> bool:
            return took.is_on and super().is_wanted()

        def look(self) -> object:  # type: ignore[override]
            before = time.thread_time()
            done = super().look()
            took.cpu += time.thread_time() - before
            at = time.monotonic()
            for incident in done.fired:
                took.fired_at.setdefault(incident.sensor_id or 0, at)
            return done

        def note(self, committed: object) -> None:
            before = time.thread_time()
            super().note(committed)  # type: ignore[arg-type]
            took.cpu += time.thread_time() - before

    end = Measured().start()
    try:
        yield took
    finally:
        end()


def _payload(sensor: int, value: float) -> bytes:
    return b'{"sensor_id": %d, "value": %.2f}' % (sensor, value)


def _send(sensors: int, number: int, value: Callable[[int], float] = lambda n: n % 331 / 4) -> None:
    first = time.time_ns() // 1000
    messages = [
        Message(first + n, TOPIC, _payload(1 + (number + n) % sensors, value(number + n)))
        for n in range(BATCH)
    ]
    end = store_at_once(batch_store_once(), messages)
    if end != "stored":
        raise SystemExit(f"a batch ended as {end}")


_store = None


def batch_store_once():  # type: ignore[no-untyped-def]
    global _store
    _store = _store or batch_store()
    return _store


def _by_turns(sensors: int, rules: int, rounds: int) -> float:
    """Prints what a round with alerts is to the one without before it; returns the share of the CPU."""
    number, ratios, shares, rates = 0, [], [], []

    def turn() -> float:
        nonlocal number
        began = time.monotonic()
        for _ in range(ROUND // BATCH):
            _send(sensors, number)
            number += BATCH
        return ROUND / (time.monotonic() - began)

    # One watcher, switched on and off: what it learns of sensors at its start is not the price of a round.
    with _watched() as took:
        turn()
        for _ in range(rounds):
            took.is_on = False
            without = turn()
            took.is_on, before, used = True, took.cpu, time.process_time()
            rate = turn()
            used = time.process_time() - used
            ratios.append(rate / without)
            rates.append(rate)
            shares.append((took.cpu - before) / used)
    print(
        f"{sensors:,} sensors, {rules:,} rules: {median(rates):,.0f} messages a second with alerts, ratio"
        f" {median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f}); evaluation"
        f" {median(shares):.1%} of the process's CPU",
        flush=True,
    )
    return median(shares)


def _steadily(sensors: int, rules: int, rate: int, seconds: int) -> float:
    """Prints and returns, in seconds, the delay that 99 of 100 incidents do not exceed."""
    committed: dict[int, float] = {}
    late = 0.0
    with _watched() as took:
        due, number = time.monotonic(), 0
        for second in range(seconds):
            firing = {1 + (second * FIRE + n) % (rules - 3) for n in range(FIRE)}
            cleared = {1 + ((second - 1) * FIRE + n) % (rules - 3) for n in range(FIRE)}
            for place in range(rate // BATCH):
                due += BATCH / rate
                time.sleep(max(0.0, due - time.monotonic()))
                late = max(late, time.monotonic() - due)
                _send(sensors, number)
                number += BATCH
                if place == (second * 7) % (rate // BATCH):
                    _cross(firing - committed.keys(), cleared)
                    committed |= dict.fromkeys(firing - committed.keys(), time.monotonic())
        end = time.monotonic() + 10
        while committed.keys() - took.fired_at.keys() and time.monotonic() < end:
            time.sleep(0.05)
    missing = committed.keys() - took.fired_at.keys()
    if missing:
        raise SystemExit(f"{len(missing)} of {len(committed)} incidents are missing")
    delays = [took.fired_at[sensor] - at for sensor, at in committed.items()]
    p50, p99 = ground.percentile(delays, 50), ground.percentile(delays, 99)
    print(
        f"{rate:,} messages a second, {FIRE} incidents a second: from commit to incident p50 {p50:.2f} s, p99"
        f" {p99:.2f} s, longest {max(delays):.2f} s ({len(delays)} of them); evaluation"
        f" {1e6 * took.cpu / (rate * seconds):.2f} us of CPU a message; the stream was {late:.2f} s late",
        flush=True,
    )
    return p99


def _cross(firing: set[int], cleared: set[int]) -> None:
    first = time.time_ns() // 1000
    payloads = [_payload(number, 2 * HIGH) for number in sorted(firing)]
    payloads += [_payload(number, 1.0) for number in sorted(cleared - firing)]
    store_at_once(batch_store_once(), [Message(first + n, TOPIC, one) for n, one in enumerate(payloads)])


def _job(sensors: int) -> None:
    from django.db import transaction

    from monitoring.alerts.changing import us
    from monitoring.alerts.due import evaluate_due
    from monitoring.alerts.evaluating import Known
    from monitoring.models import AlertState, Measurement
    from monitoring.rollups import refresh as rollups
    from monitoring.upkeep.pieces import TimeShare

    took, listener = [0.0], rollups._listeners[0]

    def timed(cursor: object, by_hand: bool) -> None:
        began = time.monotonic()
        listener(cursor, by_hand)  # type: ignore[arg-type]
        took[0] += time.monotonic() - began

    rollups._listeners[0] = timed
    began = time.monotonic()
    while (done := rollups.refresh()) and done.batches:
        pass
    whole = time.monotonic() - began
    print(f"refresh of all that came: {whole:.2f} s, of which what alerts want to know {took[0]:.2f} s")
    now = datetime.now(UTC)

    def run(until: datetime) -> tuple[int, float]:
        began = time.monotonic()
        done = evaluate_due(TimeShare(), Known(us(until)), now)
        return done.pairs, time.monotonic() - began

    pairs, seconds = run(now)
    print(
        f"the job, at first: {pairs:,} pairs in {seconds:.2f} s ({1e6 * seconds / max(pairs, 1):.0f} us each)"
    )
    pairs, seconds = run(now)
    print(f"the job with nothing due: {pairs:,} pairs in {1000 * seconds:.1f} ms")
    # A lease is over where the sensor has sent once more; 600 s later all are.
    with transaction.atomic():
        newest = Measurement.objects.order_by("-created_at").values_list("created_at", flat=True)[0]
        Measurement.objects.bulk_create(
            Measurement(sensor_id=n, created_at=newest + timedelta(seconds=500), received_at=now, value=1.0)
            for n in range(1, sensors + 1)
        )
    pairs, seconds = run(newest + timedelta(seconds=700))
    silent = AlertState.objects.exclude(phase="normal").count()
    print(
        f"the job with all leases due: {pairs:,} pairs in {seconds:.2f} s,"
        f" {1e6 * seconds / max(pairs, 1):.0f} us each; {silent} not normal",
        flush=True,
    )


if __name__ == "__main__":
    threading.current_thread().name = "bench"
    main()
