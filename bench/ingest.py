"""How fast a burst goes from the broker into the database, against a pipe that only copies.

    python -m bench.ingest [--messages 200000] [--sensors 1000] [--rounds 5] [--json FILE] [--svg FILE]

(or: make bench.) Needs Debian's mosquitto, mosquitto-clients and a psql on the PATH. PostgreSQL, Redis and
Mosquitto are started in a temporary folder, durable as `make run` has them; then in each round, in turn:

- the pipe: `mosquitto_sub -q 1 | psql -c "COPY ... FROM STDIN"` into a table of jsonb without an index;
- ours: one bridge and one worker process with one child, and then with two; from the first PUBLISH to the
  last row committed and counted, once a small burst has warmed the worker up;
- the plain way: one callback and one ORM `save` a message, of a hundredth of the messages;
- mq-bridge, where it is installed (pip install mq-bridge); bench/peer.py says what it leaves out.

One publisher sends the same messages at QoS 1 to each. Machines are noisy: the ratios within a round are the
figures. For each way it says what a message cost in CPU, process by process, and the peak of their memory.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import psycopg2

from bench import ground
from bench.cost import Cpu, peak_mib
from bench.figure import bars
from bench.ground import PROJECT
from bench.publisher import source
from bridge.address import MqttAddress
from process.heartbeat import bridge_process
from runner.services import Broker, Postgres, Redis

TOPIC = "iot/measurements"
# The bridge does not subscribe to these, and so rests while others are measured.
PIPE_TOPIC, PLAIN_TOPIC, PEER_TOPIC = "bench/pipe", "bench/plain", "bench/peer"
PLAIN_SHARE = 100
PIPE, ONE, TWO, PLAIN = "the pipe", "ours, one child", "ours, two children", "the plain way"
PEER = "mq-bridge"


class Measured(NamedTuple):
    """Messages a second; of each process microseconds of CPU a message, and MiB at its peak."""

    rate: float
    cpu: dict[str, float]
    peak: dict[str, float]


def until(what: str, count: Callable[[], int], of: int) -> None:
    bar, deadline = ground.progress("done"), time.monotonic() + 300
    while (done := count()) < of:
        bar.show(done, done / of, what)
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: {done} of {of} after 300 s")
        time.sleep(0.02)
    bar.line(f"{what}: {of:,}")


class Bench:
    def __init__(self, folder: Path, messages: int, sensors: int) -> None:
        self.messages, self.sensors, self.repeat = messages, sensors, 0
        self.start = time.time() - 3600
        self.postgres = Postgres(folder / "postgres").start()
        self.redis = Redis(folder / "redis").start()
        self.broker = Broker(folder / "mqtt", binaries="system").start()
        self.address = MqttAddress.parse(self.broker.url)
        ours = ground.environment(
            folder / "data",
            self.postgres.url,
            self.redis.url,
            MQTT_URL=self.broker.url,
            PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        )
        self.env = os.environ | ours
        (folder / "data").mkdir()
        for command in (["migrate", "-v0"], ["first_run"]):
            self.run("manage.py", *command)
        self.connect()
        self.execute(
            "INSERT INTO monitoring_sensor (id, name, kind, unit, is_active, location, added_at)"
            " SELECT n, 'sensor ' || n, '', '', true, '', now() FROM generate_series(1, %s) n"
            " ON CONFLICT (id) DO UPDATE SET kind = '', unit = ''",
            sensors,
        )
        self.execute("CREATE TABLE yardstick (payload jsonb)")

    def connect(self) -> None:
        self.database = psycopg2.connect(self.postgres.url)
        self.database.autocommit = True

    def restart_postgres(self) -> None:
        self.database.close()
        self.postgres.stop()
        self.postgres.start()
        self.connect()

    def run(self, *argv: str) -> None:
        subprocess.run(["python", *argv], cwd=PROJECT, env=self.env, check=True, stdout=subprocess.DEVNULL)

    def execute(self, sql: str, *params: object) -> int:
        with self.database.cursor() as cursor:
            cursor.execute(sql, params)
            return int(cursor.fetchone()[0]) if cursor.description else 0

    # --- processes --------------------------------------------------------------------------------

    @contextmanager
    def process(self, *argv: str, said: str = "") -> Iterator["subprocess.Popen[str]"]:
        """Runs it until the block ends; begins once it has `said` that."""
        process = subprocess.Popen(
            argv, cwd=PROJECT, env=self.env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            if said and (line := process.stdout.readline().strip()) != said:  # type: ignore[union-attr]
                raise SystemExit(f"{argv}: {line!r} instead of {said!r}")
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=60)

    @contextmanager
    def bridge(self) -> Iterator[int]:
        with self.process("python", "-m", "bridge") as process:
            self._until_it_lives(bridge_process("default"))
            yield process.pid

    @contextmanager
    def worker(self, children: int) -> Iterator[int]:
        options = "-Q ingest --without-gossip --without-mingle -l ERROR"
        with self.process(
            *f"celery -q -A config worker {options} --concurrency {children}".split()
        ) as process:
            self._until_it_lives("worker")
            yield process.pid

    def _until_it_lives(self, name: str) -> None:
        import redis

        with redis.Redis.from_url(self.redis.url) as client:
            until(f"start of {name}", lambda: client.exists(f"iot:heartbeat:{name}"), 1)

    # --- the ways ---------------------------------------------------------------------------------

    def pipe(self) -> Measured:
        self.execute("TRUNCATE yardstick")
        to, topic = f"-h {self.address.host} -p {self.address.port}", PIPE_TOPIC
        command = (
            f"mosquitto_sub {to} -q 1 -t {topic} -C {self.messages}"
            f" | psql -q '{self.postgres.url}' -c 'COPY yardstick FROM STDIN'"
        )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.Popen(["sh", "-c", command])
        time.sleep(0.5)  # it says nothing once it has subscribed
        measured = self._measure(topic, {}, self.messages, lambda: process.wait(300), "yardstick")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)  # the publisher has ended within this, too
        used = sum(after[:2]) - sum(before[:2])
        cpu = {"subscriber, psql": 1e6 * used / self.messages - measured.cpu["publisher"]}
        return measured._replace(cpu=cpu | measured.cpu)

    def ours(self, children: int) -> Measured:
        with self.worker(children) as worker:
            roots = {"bridge": self.bridge_pid, "Redis": int(self.redis.pid or 0), "worker": worker}
            self.empty()
            self.burst(roots, self.messages // 20)
            self.empty()
            return self.burst(roots, self.messages)

    def empty(self) -> None:
        self.execute("TRUNCATE monitoring_measurement, monitoring_ingestbatch")

    def partitions_before(self, moment: float) -> list[str]:
        """Those of the measurements that hold rows of a time before."""
        with self.database.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT tableoid::regclass::text FROM monitoring_measurement"
                " WHERE created_at < to_timestamp(%s)",
                [moment],
            )
            return [name for (name,) in cursor.fetchall()]

    def burst(self, roots: dict[str, int], messages: int) -> Measured:
        """Into what the table holds already."""
        # What is new alone: it is asked fifty times a second, and PostgreSQL's CPU for that is measured too.
        with self.database.cursor() as cursor:
            cursor.execute("SELECT id::text FROM monitoring_ingestbatch ORDER BY id DESC LIMIT 1")
            (last,) = cursor.fetchone() or (str(UUID(int=0)),)
        count = "SELECT coalesce(sum(messages), 0) FROM monitoring_ingestbatch WHERE id > %s::uuid"
        wait = partial(until, "ours", lambda: self.execute(count, last), messages)
        return self._measure(TOPIC, dict(roots), messages, wait, "monitoring_measurement")

    def plain(self) -> Measured:
        self.execute("TRUNCATE monitoring_measurement")
        messages = self.messages // PLAIN_SHARE
        count = "SELECT count(*) FROM monitoring_measurement"
        argv = ("python", "-m", "bench.plain_way", self.address.host, str(self.address.port), PLAIN_TOPIC)
        with self.process(*argv, said="ready") as process:
            return self._measure(
                PLAIN_TOPIC,
                {"subscriber": process.pid},
                messages,
                lambda: until("the plain way", lambda: self.execute(count), messages),
                "monitoring_measurement",
            )

    def peer(self) -> Measured:
        self.execute("DROP TABLE IF EXISTS peer")
        self.execute(
            "CREATE TABLE peer (sensor_id bigint, value double precision, unit text, ts double precision)"
        )
        where = self.address.host, str(self.address.port), PEER_TOPIC, self.postgres.url
        count = "SELECT count(*) FROM peer"
        wait = partial(until, PEER, lambda: self.execute(count), self.messages)
        with self.process("python", "-m", "bench.peer", *where, "peer", said="ready") as process:
            return self._measure(PEER_TOPIC, {PEER: process.pid}, self.messages, wait, "peer")

    def _measure(
        self, topic: str, roots: dict[str, int], messages: int, wait: Callable[[], object], table: str
    ) -> Measured:
        """From the first PUBLISH until `wait` returns; then the table must have a row more a message."""
        rows = f"SELECT count(*) FROM {table}"
        before = self.execute(rows)
        where = self.address.host, str(self.address.port), topic
        what = str(messages), str(self.sensors), str(self.start), str(self.repeat)
        with self.process("python", "-m", "bench.publisher", *where, *what, said="ready") as publisher:
            roots |= {
                "publisher": publisher.pid,
                "broker": int(self.broker.pid or 0),
                "PostgreSQL": int(self.postgres.pid or 0),
            }
            cpu, began = Cpu(roots), time.monotonic()
            publisher.stdin.write("\n")  # type: ignore[union-attr]
            publisher.stdin.flush()  # type: ignore[union-attr]
            wait()
            seconds = time.monotonic() - began
            used = cpu.microseconds_per(messages)
            peak = {name: peak_mib(root) for name, root in roots.items()}
        distinct = len({source(number, self.repeat) for number in range(messages)})
        if (more := self.execute(rows) - before) != distinct:
            raise SystemExit(f"{table} has {more} rows more, of {distinct} different messages")
        return Measured(messages / seconds, used, peak)

    def stop(self) -> None:
        self.database.close()
        for service in (self.broker, self.redis, self.postgres):
            service.stop()

    def rounds(self, number: int) -> dict[str, list[Measured]]:
        ways: dict[str, Callable[[], Measured]] = {
            PIPE: self.pipe,
            ONE: lambda: self.ours(1),
            TWO: lambda: self.ours(2),
            PLAIN: self.plain,
        }
        if find_spec("mq_bridge"):
            ways[PEER] = self.peer
        found: dict[str, list[Measured]] = {name: [] for name in ways}
        with self.bridge() as self.bridge_pid:
            self.ours(1)  # not counted: partitions, caches
            for count in range(1, number + 1):
                for name, way in ways.items():
                    found[name].append(way())
                said = ", ".join(f"{name} {runs[-1].rate:,.0f}/s" for name, runs in found.items())
                print(f"round {count}: {said}", flush=True)
        return found


# --- what came of it ------------------------------------------------------------------------------


def ratios(found: dict[str, list[Measured]], name: str, to: str) -> list[float]:
    """Round by round."""
    return [one.rate / other.rate for one, other in zip(found[name], found[to], strict=True)]


def medians(runs: list[Measured]) -> tuple[dict[str, float], dict[str, float]]:
    """CPU and peak memory, process by process."""
    cpu, peak = (
        {name: statistics.median(one[name] for one in kind) for name in kind[0]}
        for kind in ([run.cpu for run in runs], [run.peak for run in runs])
    )
    return cpu, peak


def table(found: dict[str, list[Measured]]) -> str:
    lines = [
        "| | messages a second | to the pipe | CPU us a message, by process | peak MiB |",
        "|---|---|---|---|---|",
    ]
    for name, runs in found.items():
        cpu, peak = medians(runs)
        rate = statistics.median(run.rate for run in runs)
        ratio = statistics.median(ratios(found, name, PIPE))
        parts = ", ".join(f"{process} {used:.1f}" for process, used in cpu.items())
        memory = ", ".join(
            f"{process} {size:.0f}"
            for process, size in peak.items()
            if process not in ("publisher", "broker")
        )
        lines.append(f"| {name} | {rate:,.0f} | {ratio:.2f} | {sum(cpu.values()):.1f}: {parts} | {memory} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--sensors", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="writes all figures there")
    parser.add_argument("--svg", type=Path, help="writes a picture there")
    options = parser.parse_args()
    for tool in ("mosquitto_sub", "psql"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is missing: apt install mosquitto mosquitto-clients postgresql-client")
    with ground.folder() as folder:
        bench = Bench(folder, options.messages, options.sensors)
        try:
            found = bench.rounds(options.rounds)
        finally:
            bench.stop()
    print(table(found))
    best = [max(pair) for pair in zip(ratios(found, ONE, PIPE), ratios(found, TWO, PIPE), strict=True)]
    print(f"ours to the pipe, median of {len(best)} rounds: {statistics.median(best):.2f}")
    print(f"ours to the plain way: {statistics.median(ratios(found, ONE, PLAIN)):.0f}")
    if options.json:
        figures = {name: [run._asdict() for run in runs] for name, runs in found.items()}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.svg:
        cpu = {name: medians(runs)[0] for name, runs in found.items() if name != PLAIN}
        options.svg.write_text(bars("CPU of each process, microseconds a message", cpu))


if __name__ == "__main__":
    main()
