"""What a thousand viewers cost the web process, and whether they slow ingest down.

    python -m bench.live [--viewers 1000] [--sensors 50] [--seconds 30] [--rounds 5] [--messages 200000]

(or: make bench-live.) Needs Debian's mosquitto. One web process as the Procfile has it, and viewers over HTTP
in a process of their own.

1. Viewers: each watches so many sensors, all of them others, and once a second there is a value of each. Told
   are the CPU of the web process in percent of a core, its memory for each viewer, and how long a value takes
   from its PUBLISH in Redis until a viewer has read it. Then the same for viewers who all watch the same.
2. Ingest: a burst through bridge and worker (bench/ingest.py), round by round with nobody listening, and with
   viewers of the sensors that are stored.

Exit code 1 where the viewers cost more than 15 % of a core.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from bench import ground
from bench.cost import cpu_seconds
from bench.ground import PROJECT
from bench.ingest import Bench, Measured
from monitoring.live.channel import Newest, News, channel
from tests.journey.system import free_port, wait_for

MOST_PERCENT = 15.0
# Of one address, so many may watch who are not signed in.
AT_AN_ADDRESS = 50
WATCHED = 1000  # different sensors
INGEST_VIEWERS = 50
OURS = ("bridge", "Redis", "worker", "PostgreSQL")
SETTLE_SECONDS = 5


# --- the viewers, in a process of their own -------------------------------------------------------


async def _watch(
    number: int, port: int, ids: list[int], took: list[float], ready: "asyncio.Semaphore"
) -> None:
    here = f"127.0.0.{2 + number // AT_AN_ADDRESS}"
    async with ready:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(here, 0))
        wanted = ",".join(map(str, ids))
        writer.write(f"GET /live/?ids={wanted} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        if not (status := await reader.readline()).startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"viewer {number}: {status!r}")
        await reader.readuntil(b"event: hello")
    while data := await reader.read(65536):
        now = time.time()
        if (at := data.find(b'"t":[')) >= 0:
            took.append(now - int(data[at + 5 : at + 21]) / 1e6)


async def _watch_all(port: int, viewers: int, sensors: int, alike: bool) -> None:
    """Says `ready` once all watch; at each line on stdin, what it has seen since the one before."""
    chance, took = random.Random(1), []
    ready = asyncio.Semaphore(50)
    same = list(range(1, sensors + 1))
    tasks = [
        asyncio.create_task(
            _watch(
                number,
                port,
                same if alike else chance.sample(range(1, WATCHED + 1), sensors),
                took,
                ready,
            )
        )
        for number in range(viewers)
    ]
    await asyncio.sleep(0)
    for _ in range(50):
        await ready.acquire()
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        for task in tasks:
            if task.done():
                task.result()
        seen = sorted(took)
        took.clear()
        p50, p99 = (ground.percentile(seen, of) for of in (50, 99)) if seen else (0, 0)
        print(json.dumps({"frames": len(seen), "p50": p50, "p99": p99}), flush=True)


class Viewers:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def seen(self) -> dict[str, float]:
        """Since the call before: frames, and seconds that half and 99 in 100 took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: dict[str, float] = json.loads(self._process.stdout.readline())
        return found


@contextmanager
def watching(port: int, viewers: int, sensors: int, alike: bool = False) -> Iterator[Viewers]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.live", "--watch", str(port), "--viewers", str(viewers)]
        + ["--sensors", str(sensors)]
        + ["--alike"] * alike,
        cwd=PROJECT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit("the viewers did not come in")
        yield Viewers(process)
    finally:
        process.kill()
        process.wait()


# --- what is measured -----------------------------------------------------------------------------


@contextmanager
def web(bench: Bench) -> Iterator[tuple[int, int]]:
    """Its pid and its port."""
    port = free_port()
    with bench.process("python", "-m", "config.web", "--port", str(port)) as process:
        import urllib.request

        wait_for(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz").status == 200, "web")
        yield process.pid, port


def resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise SystemExit("the web process has gone")


def publish(client: "redis.Redis", sensors: int) -> None:
    now = time.time_ns() // 1000
    client.publish(
        channel(client),
        News({one: Newest(now, now % 10_000 / 100, 1) for one in range(1, sensors + 1)}).pack(),
    )


def viewers(bench: Bench, count: int, sensors: int, seconds: float, alike: bool) -> float:
    """Prints a line; returns percent of a core."""
    with web(bench) as (pid, port), redis.Redis.from_url(bench.redis.url) as client:
        with watching(port, 1, 1):
            pass  # imports, caches
        before = resident_kib(pid)
        with watching(port, count, sensors, alike) as they:
            due = time.monotonic()
            for second in range(SETTLE_SECONDS + int(seconds)):
                if second == SETTLE_SECONDS:
                    they.seen()
                    used, began = cpu_seconds(pid), time.monotonic()
                due += 1
                time.sleep(max(0, due - time.monotonic()))
                publish(client, WATCHED)
            time.sleep(0.5)
            percent = 100 * (cpu_seconds(pid) - used) / (time.monotonic() - began)
            each = (resident_kib(pid) - before) / count
            seen = they.seen()
    if seen["frames"] < 0.99 * count * int(seconds):
        raise SystemExit(f"{seen['frames']} frames instead of {count * int(seconds)}")
    print(
        f"| {count:,} viewers of {sensors} sensors, {'the same' if alike else 'others each'} | {percent:.1f}"
        f" | {each:.0f} | {1e3 * seen['p50']:.0f} | {1e3 * seen['p99']:.0f} |",
        flush=True,
    )
    return percent


def ingest(bench: Bench, rounds: int, sensors: int) -> None:
    found: dict[str, list[Measured]] = {"nobody": [], "viewers": []}
    with bench.bridge() as bench.bridge_pid:
        bench.ours(1)  # not counted: partitions, caches
        for _ in range(rounds):
            found["nobody"].append(bench.ours(1))
            with web(bench) as (_, port), watching(port, INGEST_VIEWERS, sensors):
                found["viewers"].append(bench.ours(1))
    ratios = [b.rate / a.rate for a, b in zip(found["nobody"], found["viewers"], strict=True)]
    print("| ingest | messages a second | us of CPU a message | of these the worker |\n|---|---|---|---|")
    for name, runs in found.items():
        rate = statistics.median(one.rate for one in runs)
        worker = statistics.median(one.cpu["worker"] for one in runs)
        ours = statistics.median(sum(one.cpu[of] for of in OURS) for one in runs)
        print(f"| {name} | {rate:,.0f} | {ours:.1f} | {worker:.2f} |")
    print(
        f"with {INGEST_VIEWERS} viewers to without, round by round: {statistics.median(ratios):.2f}"
        f" ({', '.join(f'{one:.2f}' for one in ratios)})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--viewers", type=int, default=1000)
    parser.add_argument("--sensors", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rounds", type=int, default=5, help="of ingest; 0 leaves it out")
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--watch", type=int, metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--alike", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch:
        asyncio.run(_watch_all(options.watch, options.viewers, options.sensors, options.alike))
        return
    percent = 0.0
    with ground.folder() as folder:
        bench = Bench(folder, options.messages, WATCHED)
        bench.env |= {"API_PUBLIC_READ": "1"}
        try:
            if options.viewers:
                print("| | percent of a core | KiB a viewer | p50 ms | p99 ms |\n|---|---|---|---|---|")
                for alike in (False, True):
                    cost = viewers(bench, options.viewers, options.sensors, options.seconds, alike)
                    percent = max(percent, cost)
            if options.rounds:
                ingest(bench, options.rounds, options.sensors)
        finally:
            bench.stop()
    raise SystemExit(percent > MOST_PERCENT)


if __name__ == "__main__":
    main()
