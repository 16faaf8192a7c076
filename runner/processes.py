"""Processes: born with a death signal and a session of their own, found in /proc, and ended for certain."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

LAUNCH = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Identity:
    """Who a child is: like us, a uid to become, or a uid to be in a user namespace (launch.py)."""

    uid: int | None = None
    namespace: int | None = None


US = Identity()


class _Spawner:
    """One thread that forks for all others and never ends.

    A death signal is sent when the *thread* that forked ends, so a child started by a short-lived
    thread would be ended with it.
    """

    def __init__(self) -> None:
        self._pid = 0
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def __call__(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._pid != os.getpid():  # the first time, or after a fork
                self._pid = os.getpid()
                self._jobs = queue.SimpleQueue()
                threading.Thread(target=self._work, args=(self._jobs,), name="spawner", daemon=True).start()
        answer: queue.SimpleQueue[subprocess.Popen[bytes] | Exception] = queue.SimpleQueue()

        def job() -> None:
            try:
                answer.put(start())
            except Exception as error:
                answer.put(error)

        self._jobs.put(job)
        result = answer.get()
        if isinstance(result, Exception):
            raise result
        return result

    @staticmethod
    def _work(jobs: "queue.SimpleQueue[Callable[[], None]]") -> None:
        while True:
            jobs.get()()


_spawner = _Spawner()


def spawn(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    output: int | IO[bytes] | None = subprocess.PIPE,
    death_signal: signal.Signals = signal.SIGTERM,
    identity: Identity = US,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; it gets `death_signal` when we end, however.

    stdin is empty; stdout and stderr go together to `output`, or each to ours where that is None.
    """
    options = {"parent": os.getpid(), "death_signal": int(death_signal)} | asdict(identity)
    command = [sys.executable, "-I", "-S", str(LAUNCH), json.dumps(options), *argv]
    return _spawner(
        lambda: subprocess.Popen(
            command,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    )


def _stat(pid: int) -> tuple[int, int, int] | None:
    """(parent, session, start time in ticks since boot) of a process that runs; None if gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return int(fields[1]), int(fields[3]), int(fields[19])


def _all() -> dict[int, tuple[int, int, int]]:
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return {}
    return {pid: stat for pid in pids if (stat := _stat(pid)) is not None}


def family(pid: int) -> set[int]:
    """The pids of all that runs below `pid` or in its session, without `pid` itself."""
    processes = _all()
    found: set[int] = {one for one, (_, session, _) in processes.items() if session == pid}
    below = {pid, *found}
    while below:
        below = {one for one, (parent, _, _) in processes.items() if parent in below} - found - {pid}
        found |= below
    return found - {pid, os.getpid()}


def kill_all(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def wait_gone(pids: Iterable[int], seconds: float) -> set[int]:
    """Wait until none of `pids` runs; returns those that still do after `seconds`."""
    deadline = time.monotonic() + seconds
    left = {pid for pid in pids if _stat(pid)}
    while left and time.monotonic() < deadline:
        time.sleep(0.01)
        left = {pid for pid in left if _stat(pid)}
    return left


def end(process: subprocess.Popen[bytes], stop_signal: signal.Signals, grace: float) -> bool:
    """Send `stop_signal`, wait `grace` seconds, then SIGKILL it and all that is left of its family.

    Returns whether it ended by itself. Safe to call for one that has ended.
    """
    relatives = family(process.pid) if process.poll() is None else session(process.pid)
    by_itself = True
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(stop_signal)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            by_itself = False
            relatives |= family(process.pid)
            process.kill()
            process.wait()
    left = wait_gone(relatives | session(process.pid), 0.5 if by_itself else 0)
    kill_all(left)
    wait_gone(left, 5)
    return by_itself


def session(pid: int) -> set[int]:
    """What still runs in the session that `pid` led."""
    return {one for one, (_, sid, _) in _all().items() if sid == pid} - {pid}


def mark(pid: int) -> str:
    """A line that names this very process, for a pid file: pid, start time, boot."""
    stat = _stat(pid)
    boot = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{pid} {stat[2] if stat else 0} {boot}"


def marked(line: str) -> int | None:
    """The pid of the process that `mark` named, if that very process still runs."""
    pid = line.split(" ", 1)[0]
    if pid.isdigit() and _stat(int(pid)) and mark(int(pid)) == line.strip():
        return int(pid)
    return None
