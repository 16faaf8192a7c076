"""How long a message takes from its PUBLISH until its row can be read, at a trickle and in a flood.

    python -m bench.latency [--rates 1,10,1000,5000] [--seconds 20]

(or: make bench-latency.) Needs Debian's mosquitto. One bridge and one worker process with one child. `ts` of
each message is when it was sent; PostgreSQL notes when each transaction was committed, and somebody who looks
every few milliseconds notes when that could be seen, which is once it is on the disk. Exit code 1 where half
of 1,000 messages a second take longer than 40 ms, or one in a hundred over 150 ms.
"""

import argparse
import random
import socket
import threading
import time

import psycopg2

from bench import ground
from bench.ingest import TOPIC, Bench
from bench.publisher import connected, packet

LOOK_SECONDS = 0.004
RATE, MEDIAN_MS, LATE_MS = 1000, 40, 150


class Publisher(threading.Thread):
    """So many messages a second in the long run, at random moments, for so many seconds."""

    def __init__(self, sock: socket.socket, rate: float, seconds: float, sensors: int) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self._sock, self._rate, self._seconds, self._sensors = sock, rate, seconds, sensors

    def run(self) -> None:
        threading.Thread(target=self._acknowledged, daemon=True).start()
        chance, due = random.Random(1), time.monotonic()
        end = due + self._seconds
        while (due := due + chance.expovariate(self._rate)) < end:
            if (left := due - time.monotonic()) > 0:
                time.sleep(left)
            number = self.sent
            payload = b'{"sensor_id": %d, "value": 2.5, "ts": %.6f}' % (
                1 + number % self._sensors,
                time.time(),
            )
            head = len(TOPIC).to_bytes(2) + TOPIC.encode() + (1 + number % 65535).to_bytes(2)
            self._sock.sendall(packet(0x32, head + payload))
            self.sent += 1

    def _acknowledged(self) -> None:
        while self._sock.recv(65536):
            pass


class Watch(threading.Thread):
    """Commits of the ledger, by their timestamp: when each could be seen."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.seen: dict[float, float] = {}
        self._over = threading.Event()
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True

    def run(self) -> None:
        with self._connection.cursor() as cursor:
            while not self._over.wait(LOOK_SECONDS):
                cursor.execute(
                    "SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin))::float"
                    " FROM monitoring_ingestbatch WHERE ingested_at > clock_timestamp() - interval '3 s'"
                )
                now = time.time()
                for (committed,) in cursor.fetchall():
                    self.seen.setdefault(committed, now)
        self._connection.close()

    def stop(self) -> None:
        self._over.set()
        self.join()


def took(bench: Bench, rate: float, seconds: float) -> list[float]:
    """Seconds of each message, from PUBLISH to where its row can be read."""
    bench.execute("TRUNCATE monitoring_measurement, monitoring_ingestbatch")
    sock = connected(bench.address.host, bench.address.port, b"bench-latency")
    watch = Watch(bench.postgres.url)
    publisher = Publisher(sock, rate, seconds, bench.sensors)
    watch.start()
    publisher.start()
    publisher.join()
    count = "SELECT coalesce(sum(messages), 0) FROM monitoring_ingestbatch"
    deadline = time.monotonic() + 60
    while bench.execute(count) < publisher.sent:
        if time.monotonic() > deadline:
            raise SystemExit(f"{bench.execute(count)} of {publisher.sent} messages after a minute")
        time.sleep(0.05)
    time.sleep(10 * LOOK_SECONDS)
    watch.stop()
    sock.sendall(b"\xe0\0")
    sock.close()
    with bench.database.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin))::float,"
            " extract(epoch FROM created_at)::float FROM monitoring_measurement"
        )
        found = [watch.seen[committed] - sent for committed, sent in cursor.fetchall()]
    if len(found) != publisher.sent:
        raise SystemExit(f"{len(found)} rows of {publisher.sent} messages")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rates", default="1,10,1000,5000", help="messages a second, one after the other")
    parser.add_argument("--seconds", type=float, default=20, help="of each rate")
    options = parser.parse_args()
    over = False
    with ground.folder() as folder:
        bench = Bench(folder, 0, 1000)
        try:
            with (bench.postgres.cluster / "postgresql.conf").open("a") as settings:
                settings.write("track_commit_timestamp = on\n")
            bench.restart_postgres()
            print("| messages a second | sent | p50 ms | p99 ms | longest ms |\n|---|---|---|---|---|")
            with bench.bridge(), bench.worker(1):
                took(bench, 100, 3)  # not counted: partitions, caches
                for rate in map(float, options.rates.split(",")):
                    found = [1e3 * one for one in took(bench, rate, options.seconds)]
                    median, late = ground.percentile(found, 50), ground.percentile(found, 99)
                    print(
                        f"| {rate:,.0f} | {len(found):,} | {median:.0f} | {late:.0f} | {max(found):.0f} |",
                        flush=True,
                    )
                    over |= rate == RATE and (median > MEDIAN_MS or late > LATE_MS)
        finally:
            bench.stop()
    raise SystemExit(over)


if __name__ == "__main__":
    main()
