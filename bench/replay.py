"""What a replay of many messages takes, and whether it holds ingest up.

    python -m bench.replay [--messages 10000]                                  (or: make bench-replay)

PostgreSQL and Redis, durable as `make run` has them. So many messages of 100 sensors that nobody has
registered are rejected; the sensors are registered, and a worker replays them while another process ingests
ten batches of 100 messages a second. A minute is allowed for 10,000, and 200 ms for a batch meanwhile.
"""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from batches.batch import Message
from bench import ground
from bench.stream import BATCH, TOPIC, Stream, batch_store, store_at_once
from runner.services import Postgres, Redis

FIRST, SENSORS = 1_000, 100
RATE = 1_000.0
MOST_SECONDS_FOR_10_000 = 60.0
MOST_BATCH_SECONDS = 0.2
QUIET_SECONDS = 10.0
_WORK = """
import django
django.setup()
from monitoring.rejected import jobs
from monitoring.upkeep.pieces import TimeShare
jobs.work(TimeShare())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=10_000, help="to be replayed")
    options = parser.parse_args()
    with (
        ground.folder() as folder,
        Postgres(folder / "postgres") as postgres,
        Redis(folder / "redis") as redis,
    ):
        ground.django_on(
            ground.environment(folder, postgres.url, redis.url, REJECTED_MAX_BYTES_PER_HOUR=str(2**40))
        )
        raise SystemExit(_measure(options.messages))


def _measure(messages: int) -> int:
    """Prints the figures; returns 1 where a limit is passed."""
    from django.core.management import call_command
    from django.db import connection

    from monitoring.models import Job, Measurement, RejectedMessage, Sensor
    from monitoring.rejected import jobs
    from monitoring.rejected.selection import Selection

    call_command("migrate", verbosity=0)
    Sensor.objects.register([Sensor(id=1, name="load")])
    for first in range(0, messages, 1_000):
        _store([_reading(FIRST + n % SENSORS, n) for n in range(first, min(first + 1_000, messages))])
    waiting = RejectedMessage.objects.waiting().count()
    Sensor.objects.register([Sensor(id=FIRST + n, name=f"late {n}") for n in range(SENSORS)])

    end = time.monotonic() + QUIET_SECONDS
    quiet = _load_while(lambda: time.monotonic() < end)
    job = jobs.request(Job.Kind.REPLAY, Selection(code="unknown_sensor"), None)
    began = time.monotonic()
    worker = subprocess.Popen([sys.executable, "-c", _WORK])
    meanwhile = _load_while(lambda: worker.poll() is None)
    seconds = time.monotonic() - began
    job.refresh_from_db()
    stored = Measurement.objects.filter(sensor_id__gte=FIRST).count()
    connection.close()
    if (waiting, job.stored, stored) != (messages, messages, messages):
        raise SystemExit(
            f"of {messages} rejected, {waiting} waited, {job.stored} were stored, {stored} are there"
        )
    print(f"{messages:,} messages replayed in {seconds:.1f} s, the start of its process included")
    for name, batches in (("before", quiet), ("meanwhile", meanwhile)):
        mean = sum(batches) / len(batches)
        print(
            f"a batch of {BATCH} ingested {name}: {mean * 1000:.0f} ms on average,"
            f" {max(batches) * 1000:.0f} ms at most, of {len(batches)}"
        )
    over = seconds > MOST_SECONDS_FOR_10_000 * messages / 10_000 or max(meanwhile) > MOST_BATCH_SECONDS
    print("OVER a limit" if over else "nothing is over its limit")
    return int(over)


def _load_while(is_on: Callable[[], bool]) -> list[float]:
    """Ingests at the rate until it is off; returns each batch's seconds from when it was due."""
    stream, over = Stream(RATE, 1), threading.Event()
    load = threading.Thread(target=stream.run, args=[over])
    load.start()
    while is_on():
        time.sleep(0.05)
    over.set()
    load.join()
    if stream.failures:
        raise SystemExit(f"batches ended as {', '.join(sorted(set(stream.failures)))}")
    return stream.took


def _reading(sensor: int, value: int) -> bytes:
    return b'{"sensor_id": %d, "value": %d}' % (sensor, value)


def _store(payloads: list[bytes]) -> None:
    first = time.time_ns() // 1000
    end = store_at_once(batch_store(), [Message(first + n, TOPIC, one) for n, one in enumerate(payloads)])
    if end != "stored":
        raise SystemExit(f"a batch ended as {end}")


if __name__ == "__main__":
    main()
