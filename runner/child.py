"""One supervised process of ours: started, its output read, restarted with backoff when it dies."""

import collections
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from runner import processes
from runner.console import Console
from runner.problem import Problem

FIRST_DELAY = 1.0
LONGEST_DELAY = 30.0
TAIL_LINES = 15


class Backoff:
    """Exponential backoff before a restart: 1 s, doubling to 30 s; 1 s again after a quiet minute."""

    def __init__(self) -> None:
        self._delay = 0.0
        self._last = 0.0

    def next(self) -> float:
        now = time.monotonic()
        quiet = now - self._last > 2 * LONGEST_DELAY
        self._delay = FIRST_DELAY if quiet or not self._delay else min(2 * self._delay, LONGEST_DELAY)
        self._last = now
        return self._delay


class Child:
    """A process: `argv` without a shell, in a session of its own; its output goes to the console by lines."""

    def __init__(
        self, name: str, argv: Sequence[str], cwd: Path, env: Mapping[str, str], console: Console
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.ready = False
        self.restart_at: float | None = None
        self.backoff = Backoff()
        self.tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self._cwd, self._env, self._console = cwd, dict(env), console
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        self.restart_at = None
        self.tail.clear()
        self._process = processes.spawn(self.argv, cwd=self._cwd, env=self._env)
        self._reader = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._reader.start()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in iter(lambda: process.stdout.readline(64 * 1024), b""):  # type: ignore[union-attr]
            line = line.rstrip(b"\r\n")
            self.tail.append(line.decode(errors="replace"))
            self._console.line(self.name, line)
        process.stdout.close()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def died(self) -> bool:
        """Whether it has ended without having been stopped."""
        return self._process is not None and self._process.poll() is not None

    def how_it_ended(self) -> str:
        code = self._process.returncode if self._process else None
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def stop(self, grace: float) -> None:
        """SIGTERM, `grace` seconds, then SIGKILL to it and everything in its session."""
        if self._process is not None:
            processes.end(self._process, signal.SIGTERM, grace)
            if self._reader is not None:
                self._reader.join(2)
        self._process = None
        self.restart_at = None


def read_procfile(file: Path, env: Mapping[str, str]) -> dict[str, list[str]]:
    """name → argv. `$NAME` is filled in from `env`, after the line was split into words. Raises Problem."""
    found: dict[str, list[str]] = {}
    try:
        lines = file.read_text().splitlines()
    except OSError as error:
        raise Problem(f"{file} cannot be read: {error.strerror}") from error
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, command = line.partition(":")
        try:
            found[name.strip()] = [Template(word).substitute(env) for word in shlex.split(command)]
        except KeyError as error:
            raise Problem(f"{file}: the line of {name.strip()} needs the variable {error.args[0]}") from None
        except ValueError as error:
            raise Problem(f"{file}: the line of {name.strip()} is wrong: {error}") from None
        if not found[name.strip()]:
            raise Problem(f"{file}: {name.strip()} has no command")
    return found
