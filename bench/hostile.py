"""What hostile input costs: the seconds of a batch, the rows and the bytes that are stored of it.

    python -m bench.hostile [--batches 3]                                    (or: make bench-hostile)

PostgreSQL and Redis, durable as `make run` has them, 1,000 sensors. Of each kind some batches, each as large
as a bridge hands over, are ingested one after the other. At most a second is allowed for a batch, and at most
four bytes on the disk, indexes included, for each that was received; of messages so small that a row for each
is more than that, no bytes are compared. Of the seconds, those of this process's CPU are shown apart: they
are nearly the same where others have the machine, PostgreSQL's share is not in them.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import NamedTuple

from batches.batch import Message
from bench import ground
from bench.stream import TOPIC, batch_store, store_at_once
from bridge.pace import FLUSH_BYTES, FLUSH_MESSAGES
from runner.services import Postgres, Redis

SENSORS = 1_000
MESSAGE_BYTES = 16 * 1024
MOST_SECONDS = 1.0
MOST_STORED = 4.0
MAY_REGISTER = 10_000


class Kind(NamedTuple):
    """`payload()` gives the next message. `is_bounded`: whether what is stored is compared with its size."""

    name: str
    payload: Callable[[], bytes]
    is_bounded: bool = True
    registers: bool = False


class Cost(NamedTuple):
    """Of one batch: messages, bytes received, seconds, rejected rows, and what these take on the disk.

    `cpu`: of the seconds, those in which this process had the CPU.
    """

    messages: int
    received: int
    seconds: float
    cpu: float
    rows: int
    stored: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batches", type=int, default=3, help="of each kind")
    options = parser.parse_args()
    with (
        ground.folder() as folder,
        Postgres(folder / "postgres") as postgres,
        Redis(folder / "redis") as redis,
    ):
        limit = str(2**40)
        variables = ground.environment(
            folder, postgres.url, redis.url, REJECTED_MAX_BYTES=limit, REJECTED_MAX_BYTES_PER_HOUR=limit
        )
        ground.django_on(variables | {"AUTO_REGISTER_MAX_SENSORS": str(SENSORS + MAY_REGISTER)})
        over = _measure(options.batches)
    print("\n".join(f"OVER: {line}" for line in over) or "nothing is over its limit")
    raise SystemExit(bool(over))


def _measure(batches: int) -> list[str]:
    """Prints the table; returns what is over its limit."""
    from django.core.management import call_command
    from django.db import connection

    from monitoring.models import Sensor

    call_command("migrate", verbosity=0)
    Sensor.objects.register([Sensor(id=number, name=f"Sensor {number}") for number in range(1, SENSORS + 1)])
    Sensor.objects.filter(id=2).update(kind="light", unit="V")
    over = []
    print(f"{'each message':48}{'batch':>16}{'seconds':>9}{'CPU':>6}{'rows':>8}{'stored/received':>17}")
    for kind in _kinds():
        costs = [_batch(kind) for _ in range(batches)]
        one, slowest = costs[0], max(cost.seconds for cost in costs)
        ratio = sum(cost.stored for cost in costs) / sum(cost.received for cost in costs)
        size = f"{one.messages} x {one.received // one.messages} B"
        cpu = max(cost.cpu for cost in costs)
        print(f"{kind.name:48}{size:>16}{slowest:9.2f}{cpu:6.2f}{one.rows:8}{ratio:17.2f}", flush=True)
        if slowest > MOST_SECONDS:
            over.append(f"{kind.name}: {slowest:.2f} s for a batch; {MOST_SECONDS:g} s is the most")
        if kind.is_bounded and ratio > MOST_STORED:
            over.append(
                f"{kind.name}: {ratio:.2f} bytes stored for each received; {MOST_STORED:g} is the most"
            )
    connection.close()
    return over


def _batch(kind: Kind) -> Cost:
    from django.conf import settings

    from monitoring.models import RejectedMessage

    settings.AUTO_REGISTER_SENSORS = kind.registers
    payloads, size = [], 0
    while len(payloads) < FLUSH_MESSAGES and size < FLUSH_BYTES:
        payloads.append(kind.payload())
        size += len(payloads[-1])
    first = time.time_ns() // 1000
    rows, taken, store = RejectedMessage.objects.count(), _taken(), batch_store()
    began, cpu_began = time.monotonic(), time.process_time()
    end = store_at_once(store, [Message(first + n, TOPIC, payload) for n, payload in enumerate(payloads)])
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu_began
    if end != "stored":
        raise SystemExit(f"a batch of {kind.name} ended as {end}")
    received = size + len(payloads) * len(TOPIC)
    return Cost(
        len(payloads),
        received,
        seconds,
        cpu,
        RejectedMessage.objects.count() - rows,
        max(0, _taken() - taken),
    )


def _taken() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size('monitoring_rejectedmessage')")
        return int(cursor.fetchone()[0])


def _kinds() -> Iterator[Kind]:
    random, sensors = Random(1), count(10 * SENSORS)
    now = round(time.time())

    def of(*elements: object, most: int = MESSAGE_BYTES) -> Callable[[], bytes]:
        text = ",".join(json.dumps(one, separators=(",", ":")) for one in elements).encode()
        payload = b"[" + b",".join([text] * ((most - 2) // (len(text) + 1))) + b"]"
        return lambda: payload

    def each(element: Callable[[int], object]) -> Callable[[], bytes]:
        def payload() -> bytes:
            texts, size = [], 2
            while size < MESSAGE_BYTES - 80:
                texts.append(json.dumps(element(len(texts)), separators=(",", ":")))
                size += len(texts[-1]) + 1
            return f"[{','.join(texts)}]".encode()

        return payload

    def noise() -> bytes:
        return b"[" + b",".join([b'"%016x"' % random.getrandbits(64) for _ in range(860)]) + b"]"

    def alone(payload: bytes) -> Callable[[], bytes]:
        return lambda: payload

    yield Kind("array of ones", of(1))
    yield Kind("array of ones and twos in turn", of(1, 2))
    yield Kind("array of empty objects", of({}))
    yield Kind("array of three faults in turn", of(1, {}, {"sensor_id": 1, "value": True}))
    yield Kind("array of strings that do not compress", noise)
    yield Kind("array of an unknown sensor's readings", of({"sensor_id": 9_999, "value": 1}))
    yield Kind("array of as many unknown sensors", each(lambda _: {"sensor_id": next(sensors), "value": 1}))
    yield Kind("array of another kind's readings", of({"sensor_id": 2, "value": 1, "type": "x"}))
    yield Kind("array of a refused and a good one in turn", of(1, {"sensor_id": 1, "value": 1}))
    yield Kind("array of readings ahead of the clock", of({"sensor_id": 1, "value": 1, "ts": now + 90_000}))
    yield Kind(
        "array of conflicts",
        each(lambda n: {"sensor_id": 1, "value": random.random(), "ts": now - 600}),
    )
    yield Kind("array of 40 bytes, of ones", of(1, most=40), is_bounded=False)
    yield Kind("one byte", alone(b"1"), is_bounded=False)
    yield Kind("not JSON, 256 bytes", alone(b"x" * 256))
    yield Kind("array of readings without a time", of({"sensor_id": 1, "value": 1}))
    yield Kind(
        "array of readings, each in another hour",
        each(lambda n: {"sensor_id": 1 + n % SENSORS, "value": 1, "ts": now - 3600 * random.randrange(5000)}),
    )
    yield Kind(
        "array of sensors to register",
        each(lambda _: {"sensor_id": next(sensors), "value": 1}),
        registers=True,
    )


if __name__ == "__main__":
    main()
