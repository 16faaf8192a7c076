"""What devices that send a tenth of their messages twice cost: CPU, and dead rows in the table.

    python -m bench.duplicates [--messages 300000] [--rounds 3]

(or: make bench-duplicates.) Needs what `make bench` needs. In each round a burst without duplicates and one
in which each tenth message is one that went 5,000 before; of each the CPU of worker and PostgreSQL a message,
and the bytes of the table and its indexes a row, with what aborted attempts left there.
"""

import argparse
import statistics

from bench import ground
from bench.ingest import Bench, Measured

TENTH = 10
_SIZE = """SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits
WHERE inhparent = 'monitoring_measurement'::regclass"""


def burst(bench: Bench, roots: dict[str, int], repeat: int) -> tuple[Measured, float]:
    """And bytes a row."""
    bench.empty()
    empty = bench.execute(_SIZE)
    bench.repeat = repeat
    measured = bench.burst(dict(roots), bench.messages)
    rows = bench.execute("SELECT count(*) FROM monitoring_measurement")
    return measured, (bench.execute(_SIZE) - empty) / rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[int, list[tuple[Measured, float]]] = {0: [], TENTH: []}
    with ground.folder() as folder:
        bench = Bench(folder, options.messages, 1000)
        try:
            with bench.bridge() as bridge, bench.worker(1) as worker:
                roots = {"bridge": bridge, "worker": worker}
                burst(bench, roots, 0)  # not counted: partitions, caches
                for _ in range(options.rounds):
                    for repeat, runs in found.items():
                        runs.append(burst(bench, roots, repeat))
        finally:
            bench.stop()
    print("| | worker, us a message | PostgreSQL, us a message | bytes a row |\n|---|---|---|---|")
    for repeat, name in ((0, "no duplicates"), (TENTH, "a tenth")):
        worker, postgres = (
            statistics.median(run.cpu[process] for run, _ in found[repeat])
            for process in ("worker", "PostgreSQL")
        )
        size = statistics.median(size for _, size in found[repeat])
        print(f"| {name} | {worker:.1f} | {postgres:.1f} | {size:.0f} |")


if __name__ == "__main__":
    main()
