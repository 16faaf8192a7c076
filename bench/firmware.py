"""The firmware for a minute against the pipeline, while its broker is killed and started again.

    python -m bench.firmware [--seconds 60] [--restarts 2] [--interval 0.5]      (or: make bench-firmware)

The MicroPython firmware runs unchanged on the real interpreter, with sensors, Wi-Fi and NTP that are
simulated; everything behind it is real and as `make run` has it. At each kill the board has messages that the
broker never got, and the broker has messages whose acknowledgement the board never got. What the board's log
says it measured is then held against what the API has.

What a broker has acknowledged and not yet handed on when it is killed is the broker's own loss, and the
embedded one keeps its queue in memory. So it is killed once the bridge has taken what it had, and the board
comes back after the bridge.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.firmware.board import Board
from tests.firmware.pipeline import restart_broker, stored
from tests.firmware.wire import Wire
from tests.journey.system import System, wait_for


def run(folder: Path, seconds: float, restarts: int, interval: float) -> bool:
    """Prints the figures; whether nothing is missing, doubled or made up."""
    system = System(folder)
    try:
        for name in ("web", "bridge", "worker"):
            system.start(name)
        (folder / "board").mkdir()
        with Wire(system.broker.port) as wire:
            board = Board(folder / "board", wire.port, INTERVAL_SECONDS=interval)
            with board:
                wait_for(board.measured, "a reading")
                began = time.monotonic()
                since = board.measured()[0].ts
                for number in range(1, restarts + 1):
                    wait_until(began + seconds * number / (restarts + 1))
                    restart_broker(system, board, wire, since, number)
                    print(f"broker killed and back, {number} of {restarts}", file=sys.stderr)
                wait_until(began + seconds)
                measured = board.measured()
                wait_for(lambda: not board.waiting() & set(measured), "the last acknowledgements")
        wait_for(lambda: sum(stored(system, since).values()) >= len(measured), "the last rows")
        books = system.rest()
        found = stored(system, since)
        # The board went on for a moment after the last that is counted.
        later = max(one.ts for one in measured)
        rows = {one: count for one, count in found.items() if one.ts <= later}
        missing = len(set(measured) - set(rows))
        doubled = sum(rows.values()) - len(set(rows) & set(measured))
        print(
            f"{seconds:g} s, three readings every {interval:g} s, the broker killed {restarts} times:"
            f" measured {len(measured)}, stored {sum(rows.values())}, missing {missing}, doubled {doubled};"
            f" messages that reached the broker {len(wire.published)}, of these"
            f" {len(wire.published) - len(set(wire.published))} for the second time,"
            f" duplicates recognised {books['ledger']['duplicates']}, rejected {books['ledger']['rejected']}"
        )
        return missing == doubled == 0
    finally:
        system.stop()


def wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--interval", type=float, default=0.5, help="seconds between two rounds (0.5)")
    options = parser.parse_args()
    if options.seconds / options.interval > 900:
        raise SystemExit("more than 900 rounds do not fit into a page of the API: a longer --interval")
    with tempfile.TemporaryDirectory(prefix="iot-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if not run(folder, options.seconds, options.restarts, options.interval):
            sys.exit(1)


if __name__ == "__main__":
    main()
