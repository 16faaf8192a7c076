"""What alerts cost, and how soon they are there.

    python -m bench.alerts [--messages 200000] [--sensors 10000] [--rules 1000] [--rounds 4] [--probes 60]

(or: make bench-alerts.) Needs what `make bench` needs. Bursts without a rule and with all of them, in turn:
the rate, and the CPU of worker and PostgreSQL a message. Then values past a threshold, each of a sensor of
its own, amid messages at 5,000 a second: from PUBLISH until the incident can be read. Exit code 1 where one
in a hundred takes longer than 2 s.
"""

import argparse
import statistics
import time

from bench import ground
from bench.ingest import TOPIC, Bench, Measured
from bench.latency import Publisher
from bench.publisher import connected, packet

# Nothing of a burst is past it.
NEVER = 1e9
STREAM_RATE, LATE_SECONDS = 5000, 2.0


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


def delays(bench: Bench, probes: int) -> list[float]:
    """Seconds from a PUBLISH until the incident of its sensor can be read."""
    stream = Publisher(
        connected(bench.address.host, bench.address.port, b"bench-stream"), STREAM_RATE, 3600, bench.sensors
    )
    stream.start()
    sock = connected(bench.address.host, bench.address.port, b"bench-probes")
    count = "SELECT count(*) FROM monitoring_incident WHERE sensor_id = %s"
    took, bar = [], ground.progress("probes")
    for probe in range(1, probes + 1):
        # Of sensors that have a rule of their own.
        sensor = 10 * probe + 1
        payload = b'{"sensor_id": %d, "value": %.1f}' % (sensor, 2 * NEVER)
        head = len(TOPIC).to_bytes(2) + TOPIC.encode() + probe.to_bytes(2)
        sent = time.monotonic()
        sock.sendall(packet(0x32, head + payload))
        while not bench.execute(count, sensor):
            if time.monotonic() - sent > 60:
                raise SystemExit(f"no incident of sensor {sensor} after 60 s")
            time.sleep(0.005)
        took.append(time.monotonic() - sent)
        bar.show(probe, probe / probes, f"{took[-1]:.2f} s")
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
    median, late = ground.percentile(took, 50), ground.percentile(took, 99)
    print(
        f"from PUBLISH to an incident at {STREAM_RATE:,} messages a second: p50 {median:.2f} s,"
        f" p99 {late:.2f} s, longest {max(took):.2f} s"
    )
    raise SystemExit(late > LATE_SECONDS)


if __name__ == "__main__":
    main()
