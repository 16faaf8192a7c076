"""What a trickle costs, and what rest costs: CPU by process, of everything that `make run` starts.

    python -m bench.trickle [--rate 165] [--sensors 10000] [--seconds 60] [--rest 300]
                                                                            (or: make bench-trickle)

`make run` with nothing given, so with the servers from wheels, but no simulated board, on free ports and in a
temporary folder. Then:

1. the trickle: so many messages a second, one by one, at random moments, from sensors that are registered.
   First the CPU of each process, its children included; then, since asking costs the database CPU too, how
   long a message takes from its PUBLISH until its row can be read;
2. rest: nothing at all, for five minutes; then the CPU of each process again.

CPU is told in percent of one core. The limits hold for all processes of ours together; what the servers take
is told beside it, since they may be others, or on another machine.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg2
from dotenv import dotenv_values

from bench import ground
from bench.ground import PROJECT
from bridge.address import MqttAddress
from runner import ports
from runner.child import read_procfile

MOST_IN_A_TRICKLE, MOST_AT_REST = 15.0, 2.0  # percent of one core
MOST_UNTIL_COMMITTED = 0.4  # seconds, the median
# Each of 10,000 sensors has sent once then: of one that is new, rows are made.
SETTLE_SECONDS = 75
LATENCY_SECONDS = 15
TOPIC = "iot/measurements"
BROKER, REDIS, POSTGRES = "MQTT broker", "Redis", "postgres"
SERVERS = (BROKER, REDIS, POSTGRES)


@contextmanager
def make_run(folder: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """What `make run` starts: the pid of it all, and the variables of its processes."""
    environment = os.environ | {
        "ENV_FILES": "0",
        "DATA_DIR": str(folder / "data"),
        "SIMULATE": "0",
        **{name: str(ports.choose()) for name in ("WEB_PORT", "FLOWER_PORT", "MQTT_PORT")},
    }
    for name in ("DATABASE_URL", "REDIS_URL", "MQTT_URL", "CELERY_BROKER_URL"):
        environment.pop(name, None)
    log = folder / "run.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", "run", "--parent", str(os.getpid())],
            cwd=PROJECT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while "Ctrl-C" not in log.read_text():
                if process.poll() is not None:
                    raise SystemExit(log.read_text())
                time.sleep(0.1)
            written = dotenv_values(folder / "data" / "environment", interpolate=False)
            yield process.pid, environment | {name: value or "" for name, value in written.items()}
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


class Processes:
    """All that came of one process, told apart by the lines of the Procfile; servers by their program."""

    def __init__(self, root: int, variables: dict[str, str]) -> None:
        self.root = root
        self._commands = read_procfile(PROJECT / "Procfile", variables)

    def cpu_seconds(self) -> dict[str, float]:
        """By name, what each has used so far; of children that have ended, too."""
        parents, ticks = {}, {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            ticks[int(entry.name)] = sum(map(int, fields[11:15]))
        found: dict[str, float] = {}
        for pid, used in ticks.items():
            line = [pid]
            while line[-1] != self.root and line[-1] in parents:
                line.append(parents[line[-1]])
            if line[-1] != self.root:
                continue
            # Root, the supervisor, then a process of the Procfile or a server, and what that started.
            name = "runner" if len(line) < 3 else self._name(line[-3])
            found[name] = found.get(name, 0) + used / os.sysconf("SC_CLK_TCK")
        return found

    def _name(self, pid: int) -> str:
        words = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
        for name, argv in self._commands.items():
            if words[-len(argv) + 1 :] == argv[1:]:
                return name
        if "iotcore" in " ".join(words):
            return BROKER
        name = Path(words[0]).name
        return REDIS if name.startswith("valkey") else name

    def percent(self, seconds: float) -> dict[str, float]:
        """Of one core, within so many seconds from now, the greatest first."""
        before, began = self.cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        passed, after = time.monotonic() - began, self.cpu_seconds()
        used = {name: 100 * (cpu - before.get(name, 0)) / passed for name, cpu in after.items()}
        return dict(sorted(used.items(), key=lambda item: -item[1]))


class Publisher(threading.Thread):
    """Messages at random moments, so many a second in the long run; `ts` is when each was sent."""

    def __init__(self, address: MqttAddress, rate: float, sensors: int) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self._rate, self._sensors = rate, sensors
        self._over = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self._client.username_pw_set(address.username, address.password)
        self._client.connect(address.host, address.port)
        self._client.loop_start()

    def run(self) -> None:
        chance = random.Random(165)
        due = time.monotonic()
        while not self._over.is_set():
            due += chance.expovariate(self._rate)
            time.sleep(max(0.0, due - time.monotonic()))
            payload = b'{"sensor_id": %d, "value": %.2f, "ts": %.6f}' % (
                1 + self.sent % self._sensors,
                self.sent % 330 / 100,
                time.time(),
            )
            self._client.publish(TOPIC, payload, qos=1)
            self.sent += 1

    def stop(self) -> None:
        self._over.set()
        self.join()
        self._client.disconnect()
        self._client.loop_stop()


def until_committed(database: "psycopg2.extensions.connection", seconds: float) -> list[float]:
    """Seconds from the PUBLISH of each message until its row could be read."""
    took: dict[int, float] = {}
    end = time.monotonic() + seconds
    with database.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        began = cursor.fetchone()[0]
        while time.monotonic() < end:
            cursor.execute(
                "SELECT id, extract(epoch FROM created_at)::float FROM monitoring_measurement"
                " WHERE created_at > greatest(%s, clock_timestamp() - interval '2 seconds')",
                [began],
            )
            now = time.time()
            for row, sent in cursor.fetchall():
                took.setdefault(row, now - sent)
            time.sleep(0.005)
    return list(took.values())


def table(title: str, percent: dict[str, float], most: float) -> bool:
    """Prints it; whether the sum of our processes is over its limit."""
    whole = sum(percent.values())
    ours = sum(used for name, used in percent.items() if name not in SERVERS)
    print(f"{title}: ours {ours:.1f} % of one core (at most {most:g}); with the servers {whole:.1f} %")
    for name, used in percent.items():
        print(f"  {name:<12} {used:5.2f}{'  (a server)' if name in SERVERS else ''}")
    return ours > most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=165, help="messages a second")
    parser.add_argument("--sensors", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60, help="of each measurement of CPU")
    parser.add_argument("--rest", type=float, default=300, help="seconds without a message before the second")
    options = parser.parse_args()
    over = []
    with ground.folder() as folder, make_run(folder) as (pid, variables):
        processes = Processes(pid, variables)
        database = psycopg2.connect(variables["DATABASE_URL"])
        database.autocommit = True
        with database.cursor() as cursor:
            cursor.execute(
                "INSERT INTO monitoring_sensor (id, name, kind, unit, is_active, location, added_at)"
                " SELECT n, 'sensor ' || n, '', '', true, '', now() FROM generate_series(1, %s) n"
                " ON CONFLICT (id) DO UPDATE SET kind = '', unit = ''",
                [options.sensors],
            )
        if options.rate:
            publisher = Publisher(MqttAddress.parse(variables["MQTT_URL"]), options.rate, options.sensors)
            publisher.start()
            time.sleep(SETTLE_SECONDS)
            title = f"{options.rate:g} messages a second"
            over.append(table(title, processes.percent(options.seconds), MOST_IN_A_TRICKLE))
            took = until_committed(database, LATENCY_SECONDS)
            publisher.stop()
            median, late = ground.percentile(took, 50), ground.percentile(took, 99)
            print(
                f"from PUBLISH to a row that can be read: p50 {1e3 * median:.0f} ms, p99 {1e3 * late:.0f} ms"
            )
            over.append(median > MOST_UNTIL_COMMITTED)
        time.sleep(options.rest)
        over.append(table("at rest", processes.percent(options.seconds), MOST_AT_REST))
        database.close()
    raise SystemExit(any(over))


if __name__ == "__main__":
    main()
