"""What alerts cost, and how soon they are there.

    python -m bench.alerts [--messages 200000] [--sensors 10000] [--rules 1000] [--rounds 4] [--probes 60]

(or: make bench-alerts.) Needs what `make bench` needs. Bursts without a rule and with all of them, in turn:
the rate, and the CPU of worker and PostgreSQL a message. Then values past a threshold, each of a sensor of its
own, amid messages at 5,000 a second: from PUBLISH until the incident can be read.
"""

import argparse
import statistics
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from bench import ground
from bench.ingest import TOPIC, Bench, Measured

# Nothing of a burst is past it.
NEVER = 1e9
STREAM_RATE, STREAM_BATCH = 5000, 50


def rules(bench: Bench, number: int) -> None:
    """A tenth of them for all sensors, the others for one each."""
    bench.execute("DELETE FROM monitoring_alertrule_channels")
    bench.execute("DELETE FROM monitoring_alertstate")
    bench.execute("DELETE FROM monitoring_incident")
    bench.execute("DELETE FROM monitoring_alertrule")
    bench.execute(
        "INSERT INTO monitoring_alertrule (name, kind, enabled, severity, sensor_id, sensor_kind, location,"
        " high, for_s, keep_s, window_s, intervals, check_of, note, active_from, version, created_at)"
        " SELECT 'rule ' || n, 'above', true, 'warning', CASE WHEN n %% 10 = 0 THEN NULL ELSE n END, '', '',"
        " %s, 0, 0, 0, 10, '', '', now(), 1, now() FROM generate_series(1, %s) n",
        NEVER,
        number,
    )


class Publisher:
    """One connection at QoS 1 that keeps a rate, and now and then sends a value past every threshold."""

    def __init__(self, bench: Bench) -> None:
        self._sensors = bench.sensors
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(0)
        self._client.connect(bench.address.host, bench.address.port)
        self._client.loop_start()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        number, due = 0, time.monotonic()
        while not self._over.is_set():
            due += STREAM_BATCH / STREAM_RATE
            time.sleep(max(0.0, due - time.monotonic()))
            for one in range(number, number + STREAM_BATCH):
                self.send(1 + one % self._sensors, one % 331 / 4)
            number += STREAM_BATCH

    def send(self, sensor: int, value: float) -> float:
        """When it went out, by the monotonic clock."""
        self._client.publish(TOPIC, f'{{"sensor_id": {sensor}, "value": {value}}}', qos=1)
        return time.monotonic()

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()


def delays(bench: Bench, probes: int) -> list[float]:
    """Seconds from a PUBLISH until the incident of its sensor can be read."""
    publisher, took = Publisher(bench), []
    count = "SELECT count(*) FROM monitoring_incident WHERE sensor_id = %s"
    bar = ground.progress("probes")
    for probe in range(probes):
        # Of sensors that have a rule of their own: one that all share would make ten incidents.
        sensor = 1 + probe * 10
        sent = publisher.send(sensor, 2 * NEVER)
        while not bench.execute(count, sensor):
            if time.monotonic() - sent > 60:
                raise SystemExit(f"no incident of sensor {sensor} after 60 s")
            time.sleep(0.005)
        took.append(time.monotonic() - sent)
        bar.show(probe + 1, (probe + 1) / probes, f"{took[-1]:.2f} s")
    publisher.end()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--sensors", type=int, default=10_000)
    parser.add_argument("--rules", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--probes", type=int, default=60)
    options = parser.parse_args()
    found: dict[int, list[Measured]] = {0: [], options.rules: []}
    with ground.folder() as folder:
        bench = Bench(folder, options.messages, options.sensors)
        try:
            with bench.bridge() as bridge, bench.worker(1) as worker:
                roots = {"bridge": bridge, "worker": worker}
                bench.empty()
                bench.burst(dict(roots), options.messages // 4)  # not counted: partitions, caches
                for _ in range(options.rounds):
                    for number, runs in found.items():
                        rules(bench, number)
                        bench.empty()
                        runs.append(bench.burst(dict(roots), options.messages))
                rules(bench, options.rules)
                took = delays(bench, options.probes)
        finally:
            bench.stop()
    print(
        "| rules | messages a second | worker, us a message | PostgreSQL, us a message |\n|---|---|---|---|"
    )
    for number, runs in found.items():
        worker, postgres = (
            statistics.median(run.cpu[name] for run in runs) for name in ("worker", "PostgreSQL")
        )
        rate = statistics.median(run.rate for run in runs)
        print(f"| {number:,} | {rate:,.0f} | {worker:.2f} | {postgres:.2f} |")
    ratios = [with_them.rate / without.rate for without, with_them in zip(*found.values(), strict=True)]
    said = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"with rules to without, round by round: {statistics.median(ratios):.2f} ({said})")
    print(
        f"from PUBLISH to an incident at {STREAM_RATE:,} messages a second: p50 {ground.percentile(took, 50):.2f} s,"
        f" p99 {ground.percentile(took, 99):.2f} s, longest {max(took):.2f} s"
    )


if __name__ == "__main__":
    main()
