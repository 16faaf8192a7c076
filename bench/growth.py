"""Whether a message costs as much in a table of twenty million rows as in an empty one.

    python -m bench.growth [--bursts 100] [--messages 200000]

(or: make bench-growth.) Needs what `make bench` needs. Bursts of messages, each later than the one before,
into one table; CPU microseconds a message of bridge, Redis, worker and PostgreSQL. Exit code 1 where the last
burst costs over a tenth more than the first.
"""

import argparse
import time

from bench import ground
from bench.ingest import Bench, Measured

OURS = ("bridge", "Redis", "worker", "PostgreSQL")
MOST = 1.1


def cost(measured: Measured) -> float:
    return sum(measured.cpu[name] for name in OURS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bursts", type=int, default=100)
    parser.add_argument("--messages", type=int, default=200_000, help="of each burst")
    parser.add_argument("--sensors", type=int, default=1000)
    options = parser.parse_args()
    found: list[Measured] = []
    with ground.folder() as folder:
        bench = Bench(folder, options.messages, options.sensors)
        # A message a millisecond, by `ts`.
        seconds = options.messages * 0.001
        first = time.time() - seconds * (options.bursts + 2)
        try:
            with bench.bridge() as bridge, bench.worker(1) as worker:
                roots = {"bridge": bridge, "Redis": int(bench.redis.pid or 0), "worker": worker}
                bench.start = first
                bench.burst(roots, options.messages)  # not counted: partitions, caches
                bench.empty()
                print("| million rows | us a message | messages a second |\n|---|---|---|")
                for number in range(options.bursts):
                    bench.start = first + seconds * (number + 1)
                    found.append(bench.burst(dict(roots), options.messages))
                    if number % max(1, options.bursts // 10) == 0 or number == options.bursts - 1:
                        rows = (number + 1) * options.messages / 1e6
                        print(f"| {rows:.1f} | {cost(found[-1]):.1f} | {found[-1].rate:,.0f} |", flush=True)
        finally:
            bench.stop()
    ratio = cost(found[-1]) / cost(found[0])
    print(f"the last burst to the first: {ratio:.2f} (at most {MOST:g})")
    raise SystemExit(ratio > MOST)


if __name__ == "__main__":
    main()
