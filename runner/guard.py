"""The process that `make` starts: it starts the supervisor and outlives it.

Whatever the supervisor started, and whatever that started, becomes this process's child when its own parent
dies (PR_SET_CHILD_SUBREAPER), so nothing is left over, even after `kill -9` of the supervisor. The other way
round, the supervisor gets a SIGTERM from the kernel when this process dies, and stops everything itself. If
both are killed at once, each of the supervisor's children gets its own death signal (launch.py).
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import sys
import threading
import time
from pathlib import Path

from process.environment import SettingsError, data_dir, gather
from runner import launch, processes, words
from runner.console import Console
from runner.problem import Problem

ROOT = Path(__file__).resolve().parent.parent
PR_SET_CHILD_SUBREAPER = 36
# What Enter becomes: the guard has the terminal, the supervisor the box that is to be shown again.
SHOW_AGAIN = signal.SIGUSR1
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def run(project: Path, parent: int | None) -> int:
    """Run everything until it is told to stop; the exit code. Raises Problem, OSError."""
    if parent is not None:
        launch.die_with_parent(parent, signal.SIGTERM)
    try:
        lock = hold(data_dir(gather(os.environ, project, noted=False), project))
    except SettingsError as error:
        raise Problem(str(error)) from None
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    told: list[int] = []
    supervisor: list[int] = []

    def forward(number: int, _: object) -> None:
        told.append(number)
        if supervisor:
            with contextlib.suppress(ProcessLookupError):
                # Whatever it was: while the supervisor still imports, SIGTERM ends it without a traceback.
                os.kill(supervisor[0], signal.SIGTERM)

    for one in FORWARDED:
        # Under nohup SIGHUP is ignored; that is meant for us too.
        if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN:
            signal.signal(one, forward)
    signal.signal(SHOW_AGAIN, signal.SIG_IGN)  # and so the supervisor, until it has a handler
    process = processes.spawn(
        [sys.executable, "-m", "runner", "supervise", "--project", str(project)],
        cwd=ROOT,
        output=None,
        pass_fds=[lock],
    )
    supervisor.append(process.pid)
    if os.isatty(0):
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)  # in the background, a read fails and does not stop us
        threading.Thread(target=_listen, args=[process.pid], daemon=True).start()
    if told:
        forward(told[-1], None)
    code = _wait_for(process.pid)
    process.returncode = code  # reaped above; Popen must not look for it
    if code == -signal.SIGTERM and told:
        code = 0  # it was told before it had started anything
    if code < 0:
        Console(words.language(project)).problem(
            f"the runner was killed by {signal.Signals(-code).name}; stopping what it had started"
        )
    sweep(5 if code < 0 else 1)
    return code if code >= 0 else 128 - code


def _listen(supervisor: int) -> None:
    """Pass on each Enter, as long as somebody is at the terminal."""
    with contextlib.suppress(OSError):
        while typed := os.read(0, 1024):
            if b"\n" in typed:
                os.kill(supervisor, SHOW_AGAIN)


def _wait_for(pid: int) -> int:
    """Reap children until `pid` is one of them; its exit code, negative for a signal."""
    while True:
        done, status = os.waitpid(-1, 0)
        if done == pid:
            return os.waitstatus_to_exitcode(status)


def sweep(grace: float) -> None:
    """Wait `grace` seconds for everything below us to end, then end it."""
    deadline = time.monotonic() + grace
    while left := processes.family(os.getpid()):
        if time.monotonic() > deadline:
            processes.kill_all(left)
        time.sleep(0.05)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def hold(data_dir: Path) -> int:
    """Make DATA_DIR, for its owner alone, and lock it; returns the lock's descriptor. Raises Problem."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if data_dir.stat().st_uid == os.geteuid():
        data_dir.chmod(0o700)
    lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        who = os.read(lock, 20).decode(errors="replace").strip()
        raise Problem(
            f"it is running already on {data_dir}{f' (pid {who})' if who else ''}; "
            "stop that one, or set DATA_DIR (and MQTT_PORT, WEB_PORT, FLOWER_PORT) for a second one"
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock
