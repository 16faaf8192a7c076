"""`python -m runner run`, watched from outside."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path

from runner import ports

ROOT = Path(__file__).resolve().parents[2]


def until(condition: Callable[[], object], seconds: float = 45, what: str = "") -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        time.sleep(0.02)


def free_port() -> int:
    """From a range of this test process's own, none of its last 50: no other may take it before we do."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    while (port := ports.choose(range(10_000 + 500 * worker, 10_500 + 500 * worker))) in _handed_out:
        pass
    _handed_out.append(port)
    return port


_handed_out: deque[int] = deque(maxlen=50)


class Run:
    """One `python -m runner run`; every process that comes from it carries `marker` in its environment."""

    def __init__(
        self, project: Path, under_make: bool = False, terminal: int | None = None, **environment: str
    ) -> None:
        """`terminal`: the descriptor of one, which the test reads itself."""
        self.marker = uuid.uuid4().hex
        self.data = project / ".data"
        env = {
            name: value
            for name, value in os.environ.items()
            if not re.match("MAKE|MFLAGS|SERVICES_FROM", name)
        }
        env |= {
            "TEST_MARKER": self.marker,
            "WEB_PORT": str(free_port()),
            "FLOWER_PORT": str(free_port()),
            "MQTT_PORT": str(free_port()),
        } | environment
        for name in ("DATABASE_URL", "REDIS_URL", "MQTT_URL", "DATA_DIR", "SECRET_KEY"):
            if name not in environment:
                env.pop(name, None)
        self.env = env
        command = [sys.executable, "-m", "runner", "run", "--project", str(project)]
        if not under_make:
            command += ["--parent", str(os.getpid())]  # nothing is left over where the tests are killed, too
        else:
            makefile = project / "Makefile"
            makefile.write_text(f"run:\n\t@{sys.executable} {project / 'as_make_does.py'}\n")
            (project / "as_make_does.py").write_text(
                f"import os, sys\nos.chdir({str(ROOT)!r})\n"
                f"os.execv(sys.executable, {command!r} + ['--parent', str(os.getppid())])\n"
            )
            command = ["make", "-f", str(makefile), "run"]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdin=terminal,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Ignored, as under nohup, it would be ignored by what is started too.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        self.output = ""
        self.hang_up = False
        """Read one line more, then close the pipe, as `| head` does."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        if terminal is None:
            self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line.decode()
            if self.hang_up:
                self.process.stdout.close()
                return

    def ready(self) -> "Run":
        until(lambda: "Ctrl-C" in self.output or self.process.poll() is not None, 90)
        assert "Ctrl-C" in self.output, self.output
        return self

    def end(self, number: signal.Signals = signal.SIGINT, seconds: float = 60) -> int:
        self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds: float = 60) -> int:
        code = self.process.wait(seconds)
        self._reader.join(30)
        return code

    def left(self) -> dict[int, str]:
        """Everything that still runs and came from this run: pid → command."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                marked = f"TEST_MARKER={self.marker}".encode() in (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                ours = marked or str(self.data) in command
                # The servers do not get our variables, but they work inside the data folder.
                ours = ours or (entry / "cwd").readlink().is_relative_to(self.data)
            except OSError:
                continue
            if ours and command:
                found[int(entry.name)] = command
        return found

    def pid_of(self, *words: str) -> int:
        found = [pid for pid, command in self.left().items() if all(word in command for word in words)]
        assert found, (words, self.left())
        return min(found)
