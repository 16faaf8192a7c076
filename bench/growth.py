"""Whether a message costs as much in a table of twenty million rows as in an empty one.

    python -m bench.growth [--bursts 100] [--messages 200000] [--rounds 7]

(or: make bench-growth.) Needs what `make bench` needs. Bursts of messages, each later than the one before,
fill one partition. Then, in turn, a burst goes into it and a burst into one that is empty, of another month:
what else has changed since the first burst (the machine, the servers' memory) is the same for both. CPU
microseconds a message of bridge, Redis, worker and PostgreSQL, medians of the rounds. Exit code 1 where the
full one costs over a tenth more than the empty one.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

from bench import ground
from bench.ingest import Bench, Measured

OURS = ("bridge", "Redis", "worker", "PostgreSQL")
MOST = 1.1
OTHER_MONTH = 62 * 86_400.0


def cost(measured: Measured) -> float:
    return sum(measured.cpu[name] for name in OURS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bursts", type=int, default=100, help="that fill the table")
    parser.add_argument("--messages", type=int, default=200_000, help="of each burst")
    parser.add_argument("--sensors", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    # A message a millisecond, by `ts`.
    seconds = options.messages * 0.001
    first = time.time() - seconds * (options.bursts + options.rounds + 2)
    with ground.folder() as folder:
        bench = Bench(folder, options.messages, options.sensors)
        try:
            with bench.bridge() as bridge, bench.worker(1) as worker:
                roots = {"bridge": bridge, "Redis": int(bench.redis.pid or 0), "worker": worker}

                def burst(start: float) -> Measured:
                    bench.start = start
                    return bench.burst(dict(roots), options.messages)

                # Not counted: partitions, caches.
                burst(first)
                burst(first - OTHER_MONTH)
                bench.empty()
                print("| million rows | us a message | messages a second |\n|---|---|---|")
                for number in range(options.bursts):
                    measured = burst(first + seconds * (number + 1))
                    if number % max(1, options.bursts // 10) == 0 or number == options.bursts - 1:
                        rows = (number + 1) * options.messages / 1e6
                        print(f"| {rows:.1f} | {cost(measured):.1f} | {measured.rate:,.0f} |", flush=True)
                full, empty = _in_turn(bench, burst, first, seconds * (options.bursts + 1), options.rounds)
        finally:
            bench.stop()
    print("| CPU us a message | empty | full |\n|---|---|---|")
    for name in OURS:
        print(
            f"| {name} | {median(m.cpu[name] for m in empty):.1f} | {median(m.cpu[name] for m in full):.1f} |"
        )
    ratio = median(cost(one) / cost(other) for one, other in zip(full, empty, strict=True))
    print(f"full to empty: {ratio:.2f}, the median of {options.rounds} rounds (at most {MOST:g})")
    raise SystemExit(ratio > MOST)


def _in_turn(
    bench: Bench, burst: Callable[[float], Measured], first: float, filled: float, rounds: int
) -> tuple[list[Measured], list[Measured]]:
    """Bursts into the full partition and into the empty one, which is emptied after each; who is first
    changes."""
    full: list[Measured] = []
    empty: list[Measured] = []
    seconds = bench.messages * 0.001
    for number in range(rounds):
        for is_full in (True, False) if number % 2 else (False, True):
            if is_full:
                full.append(burst(first + filled + seconds * number))
            else:
                empty.append(burst(first - OTHER_MONTH))
                for partition in bench.partitions_before(first - OTHER_MONTH / 2):
                    bench.execute(f"TRUNCATE {partition}")
    return full, empty


if __name__ == "__main__":
    main()
