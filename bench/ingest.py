"""How fast a burst goes from the broker into the database, against a pipe that only copies.

    python -m bench.ingest [--messages 100000] [--sensors 1000]      (or: make bench)

Needs Debian's mosquitto, mosquitto-clients and a psql on the PATH. PostgreSQL, Redis and Mosquitto are
started in a temporary folder, durable as `make run` has them; then in turn, in the same minutes:

- ours: one bridge and one worker process; from the first PUBLISH to the last row committed and counted;
- the yardstick: `mosquitto_sub -q 1 | psql -c "COPY ... FROM STDIN"` into a table of jsonb without an index.

The same publisher sends the same messages at QoS 1 to both. Machines are noisy: the ratio is the figure.
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg2

from bench import ground
from bench.ground import PROJECT, cpu_seconds
from bridge.address import MqttAddress
from runner.services import Broker, Postgres, Redis

TOPIC = b"iot/measurements"
# The bridge does not subscribe to this one, and so rests while the pipe runs.
PIPE_TOPIC = b"bench/measurements"
UNACKNOWLEDGED = 20_000


def packet(kind: int, body: bytes) -> bytes:
    length, head = len(body), bytearray([kind])
    while True:
        length, digit = divmod(length, 128)
        head.append(digit | (128 if length else 0))
        if not length:
            return bytes(head) + body


class Publisher:
    """Sends as fast as the broker acknowledges; frames are made beforehand, so it costs little itself."""

    def __init__(self, address: MqttAddress, topic: bytes, messages: int, sensors: int) -> None:
        self.address = address
        start = time.time() - 3600
        self.frames = [
            packet(
                0x32,
                len(topic).to_bytes(2)
                + topic
                + (number % 65535 + 1).to_bytes(2)
                + b'{"sensor_id": %d, "value": %.2f, "unit": "V", "ts": %.6f}'
                % (number % sensors + 1, number % 330 / 100, start + number * 0.001),
            )
            for number in range(messages)
        ]

    def publish(self) -> float:
        """Seconds until the broker had acknowledged them all."""
        sock = socket.create_connection((self.address.host, self.address.port))
        client = b"bench-%d" % os.getpid()
        sock.sendall(packet(0x10, b"\0\4MQTT\4\2\0\x3c" + len(client).to_bytes(2) + client))
        assert sock.recv(4)[3] == 0
        acknowledged = 0

        def count() -> None:
            nonlocal acknowledged
            received = 0
            while received < 4 * len(self.frames):
                received += len(sock.recv(65536))
                acknowledged = received // 4

        counter = threading.Thread(target=count)
        counter.start()
        began = time.monotonic()
        for first in range(0, len(self.frames), 200):
            while first - acknowledged > UNACKNOWLEDGED:
                time.sleep(0.001)
            sock.sendall(b"".join(self.frames[first : first + 200]))
        counter.join()
        sock.sendall(b"\xe0\0")
        sock.close()
        return time.monotonic() - began


def until(what: str, count: "object", of: int) -> None:
    bar, deadline = ground.progress("done"), time.monotonic() + 300
    while (done := count()) < of:  # type: ignore[operator]
        bar.show(done, done / of, what)
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: {done} of {of} after 300 s")
        time.sleep(0.02)
    bar.line(f"{what}: {of:,}")


def rss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Bench:
    def __init__(self, folder: Path, messages: int, sensors: int) -> None:
        self.messages = messages
        self.postgres = Postgres(folder / "postgres").start()
        self.redis = Redis(folder / "redis").start()
        self.broker = Broker(folder / "mqtt", binaries="system").start()
        ours = ground.environment(
            folder / "data",
            self.postgres.url,
            self.redis.url,
            MQTT_URL=self.broker.url,
            WORKER_CONCURRENCY="1",
            PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        )
        self.env = os.environ | ours
        address = MqttAddress.parse(self.broker.url)
        self.publisher = Publisher(address, TOPIC, messages, sensors)
        self.pipe_publisher = Publisher(address, PIPE_TOPIC, messages, sensors)
        (folder / "data").mkdir()
        for command in (["migrate", "-v0"], ["first_run"]):
            subprocess.run(
                ["python", "manage.py", *command],
                cwd=PROJECT,
                env=self.env,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        self.database = psycopg2.connect(self.postgres.url)
        self.database.autocommit = True
        self.execute(
            "INSERT INTO monitoring_sensor (id, name, kind, unit, is_active, location, added_at)"
            " SELECT n, 'sensor ' || n, '', '', true, '', now() FROM generate_series(1, %s) n"
            " ON CONFLICT (id) DO UPDATE SET kind = '', unit = ''",
            sensors,
        )
        self.execute("CREATE TABLE yardstick (payload jsonb)")

    def execute(self, sql: str, *params: object) -> int:
        with self.database.cursor() as cursor:
            cursor.execute(sql, params)
            return int(cursor.fetchone()[0]) if cursor.description else 0

    def ours(self) -> tuple[float, float, float]:
        """Messages a second, and microseconds of CPU a message: of the bridge, of the worker."""
        self.execute("TRUNCATE monitoring_measurement, monitoring_ingestbatch")
        before = self.execute("SELECT coalesce(sum(stored), 0) FROM monitoring_ingestbatch")
        pids = [self.bridge.pid], [self.worker.pid, *children(self.worker.pid)]
        used = [cpu_seconds(group) for group in pids]
        began = time.monotonic()
        self.publisher.publish()
        count = "SELECT coalesce(sum(messages), 0) FROM monitoring_ingestbatch"
        until("ours", lambda: self.execute(count) - before, self.messages)
        seconds = time.monotonic() - began
        rows = self.execute("SELECT count(*) FROM monitoring_measurement")
        if rows != self.messages:
            raise SystemExit(f"{rows} rows of {self.messages} messages")
        bridge, worker = (
            1e6 * (cpu_seconds(group) - was) / self.messages for group, was in zip(pids, used, strict=True)
        )
        return self.messages / seconds, bridge, worker

    def yardstick(self) -> float:
        self.execute("TRUNCATE yardstick")
        address = MqttAddress.parse(self.broker.url)
        topic = PIPE_TOPIC.decode()
        pipe = (
            f"mosquitto_sub -h {address.host} -p {address.port} -q 1 -t {topic} -C {self.messages}"
            f" | psql -q '{self.postgres.url}' -c 'COPY yardstick FROM STDIN'"
        )
        process = subprocess.Popen(["sh", "-c", pipe])
        time.sleep(0.5)  # it says nothing once it has subscribed
        began = time.monotonic()
        self.pipe_publisher.publish()
        process.wait(300)
        seconds = time.monotonic() - began
        rows = self.execute("SELECT count(*) FROM yardstick")
        if rows != self.messages:
            raise SystemExit(f"the yardstick has {rows} rows of {self.messages} messages")
        return self.messages / seconds

    def start(self) -> None:
        worker = "celery -q -A config worker -Q ingest --without-gossip --without-mingle -l WARNING"
        self.bridge = subprocess.Popen(["python", "-m", "bridge"], cwd=PROJECT, env=self.env)
        self.worker = subprocess.Popen(
            worker.split(), cwd=PROJECT, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        import redis

        client = redis.Redis.from_url(self.redis.url)
        until("start", lambda: sum(client.exists(f"iot:heartbeat:{n}") for n in ("bridge", "worker")), 2)

    def stop(self) -> None:
        for process in (self.bridge, self.worker):
            process.terminate()
            process.wait(30)
        self.database.close()
        for service in (self.broker, self.redis, self.postgres):
            service.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--sensors", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for tool in ("mosquitto_sub", "psql"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is missing: apt install mosquitto mosquitto-clients postgresql-client")
    with ground.folder() as folder:
        bench = Bench(folder, options.messages, options.sensors)
        bench.start()
        try:
            bench.ours()  # not counted: connections, partitions, caches
            ratios = []
            for number in range(1, options.rounds + 1):
                ours, bridge, worker = bench.ours()
                pipe = bench.yardstick()
                ratios.append(ours / pipe)
                print(
                    f"round {number}: ours {ours:,.0f}/s, the pipe {pipe:,.0f}/s, ratio {ours / pipe:.2f};"
                    f" CPU a message: bridge {bridge:.1f} us, worker {worker:.1f} us"
                )
            print(f"ratio, median of {len(ratios)}: {statistics.median(ratios):.2f}")
            print(
                "RSS after it, MiB: bridge"
                f" {rss_kib(bench.bridge.pid) / 1024:.0f}, worker {rss_kib(bench.worker.pid) / 1024:.0f}"
                f" and its child {sum(rss_kib(pid) for pid in children(bench.worker.pid)) / 1024:.0f}"
            )
        finally:
            bench.stop()


if __name__ == "__main__":
    main()
