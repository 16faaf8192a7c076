"""What the three services have in common: one server process in a data folder."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Literal, Self, cast, get_args

from process import private_file
from runner import ports, processes
from runner.problem import Problem

Binaries = Literal["wheels", "system"]

READY_SECONDS = 60.0
LOG_BYTES = 4_000_000


class ServiceError(Problem):
    """A service cannot do its work; the message is one line that names the remedy."""


def binaries_from_environment() -> Binaries:
    """`SERVICES_FROM`: "wheels" (from .venv, the default) or "system" (Debian's packages)."""
    value = os.environ.get("SERVICES_FROM") or "wheels"
    for known in get_args(Binaries):
        if value == known:
            return cast(Binaries, known)
    raise ServiceError(f'SERVICES_FROM is "{value}"; it must be "wheels" or "system"')


def wheel_folder(package: str) -> Path:
    """Where a package is installed, without importing it (that may take half a second)."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError(f"the package {package} is not installed; run `make run`, which installs it")
    return Path(spec.submodule_search_locations[0])


class Service:
    """One server in `folder`, listening on 127.0.0.1 at `port`.

    Without `port` a free one is chosen at the first start and remembered in the folder, so that a restart,
    in this process or a later one, has the same address unless somebody took it. `start`, `stop` and `kill`
    may be called in any order and from any thread; a start on a folder whose server still runs ends that
    one first.
    """

    name = "service"
    death_signal = signal.SIGTERM
    stop_signal = signal.SIGTERM
    port_variable: str | None = None

    def __init__(self, folder: Path, port: int | None = None, binaries: Binaries | None = None) -> None:
        self.folder = Path(folder).absolute()
        self.binaries: Binaries = binaries or binaries_from_environment()
        self.log = self.folder / "log"
        self._given_port = port
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = threading.Event()

    @property
    def port(self) -> int:
        if self._port is None:
            self._port = self._choose_port()
        return self._port

    @property
    def host(self) -> str:
        return "127.0.0.1"

    @property
    def url(self) -> str:
        """What to put into DATABASE_URL, REDIS_URL or MQTT_URL; with the password where there is one."""
        raise NotImplementedError

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether the server that `start` started is still there."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        return self._process.poll() if self._process else None

    def start(self) -> Self:
        """Block until the server answers. Raises ServiceError."""
        if self.running:
            return self
        self._cancelled.clear()
        try:
            self._start()
        except ServiceError:
            if self._given_port is not None or self._port is None or self._cancelled.is_set():
                raise
            if not ports.problem(self._port, self.host):
                raise
            self._start()  # somebody took the port between our look and the server's; it chooses another
        return self

    def _start(self) -> None:
        began = time.monotonic()
        try:
            self._make_folder()
            self._end_stale()
            self._take_port()
            self._prepare()
            self._launch()
            while not self._ready():
                self._check(began)
                time.sleep(0.01)
            self._after_ready()
        except OSError as error:
            self._kill()
            raise ServiceError(
                f"{self.name}: {error.strerror or error} ({error.filename or self.folder})"
            ) from error
        except BaseException:
            self._kill()
            raise

    def stop(self, grace: float = 10.0) -> None:
        """End the server cleanly; after `grace` seconds, by force. Nothing to do where it does not run."""
        self._cancelled.set()
        if self._process is not None:
            processes.end(self._process, self.stop_signal, grace)
            self._forget()

    def kill(self) -> None:
        """SIGKILL the server and all its children, as a power cut would."""
        self._cancelled.set()
        self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            pids = processes.family(self._process.pid) | {self._process.pid}
            processes.kill_all(pids)
            self._process.wait()
            processes.wait_gone(pids, 5)
            self._forget()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # What each service says for itself.

    def _prepare(self) -> None:
        """Make the data or the configuration that the server needs."""

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _ready(self) -> bool:
        raise NotImplementedError

    def _after_ready(self) -> None:
        """What can be done only once the server answers."""

    def _identity(self) -> processes.Identity:
        return processes.US

    # How it is done.

    def _launch(self) -> None:
        self._spawn(self._command())
        assert self._process is not None
        self._pid_file.write_text(processes.mark(self._process.pid) + "\n")

    def _spawn(self, argv: list[str]) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_name("log.old"))
        with self.log.open("ab") as output:
            self._log_from = output.tell()
            self._process = processes.spawn(
                argv,
                cwd=self.folder,
                env=self._environment(),
                output=output,
                death_signal=self.death_signal,
                identity=self._identity(),
            )

    def _environment(self) -> dict[str, str]:
        """No PG* and no locale of the user's: code reads the logs, and data must not depend on them."""
        kept = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZDIR", "VIRTUAL_ENV")
        return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}

    def _check(self, began: float) -> None:
        """Raise if the start has failed or was called off."""
        if self._cancelled.is_set():
            raise ServiceError(f"{self.name} was stopped while it started")
        if not self.running:
            code = self.returncode
            self.raise_for_log(f"ended at once with exit code {code}")
        if time.monotonic() - began > READY_SECONDS:
            self.raise_for_log(f"did not answer within {READY_SECONDS:.0f} s")

    def last_line(self) -> str:
        """The last line of the log since the last start; empty if it wrote none."""
        with contextlib.suppress(OSError, AttributeError):
            with self.log.open("rb") as file:
                file.seek(self._log_from)
                text = file.read()[-20_000:].decode(errors="replace")
            if "No space left on device" in text or "Disk quota exceeded" in text:
                return "No space left on device"
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            return lines[-1] if lines else ""
        return ""

    def raise_for_log(self, what: str) -> None:
        last = self.last_line()
        if last == "No space left on device":
            raise ServiceError(
                f"{self.name}: the disk that holds {self.folder} is full; free some space, run again"
            )
        raise ServiceError(f"{self.name} {what}{f': {last}' if last else ''} (log: {self.log})")

    @property
    def _pid_file(self) -> Path:
        return self.folder / "pid"

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
            raise ServiceError(
                f"{self.name}: {self.folder} cannot be written by this user; "
                "run as the user that made it, change its owner, or set DATA_DIR"
            )

    def _end_stale(self) -> None:
        """End a server that an earlier process left on this folder."""
        with contextlib.suppress(OSError):
            pid = processes.marked(self._pid_file.read_text())
            if pid is not None:
                pids = processes.family(pid) | {pid}
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, self.stop_signal)
                processes.kill_all(processes.wait_gone(pids, 10))
                processes.wait_gone(pids, 5)

    def _forget(self) -> None:
        self._process = None
        with contextlib.suppress(OSError):
            self._pid_file.unlink()

    def _choose_port(self) -> int:
        remembered = self.folder / "port"
        with contextlib.suppress(OSError, ValueError):
            port = int(remembered.read_text())
            if ports.problem(port, self.host) is None:
                return port
        return ports.choose()

    def _take_port(self) -> None:
        problem = ports.problem(self.port, self.host)
        if problem and self._given_port is None:
            self._port = ports.choose()
            problem = None
        if problem:
            remedy = f"; set {self.port_variable} to another" if self.port_variable else ""
            raise ServiceError(f"{self.name}: port {self.port} {problem}{remedy}")
        (self.folder / "port").write_text(f"{self.port}\n")


def remembered_secret(path: Path, make: str) -> str:
    """The secret kept in `path`, or `make`, kept there from now on."""
    with contextlib.suppress(FileNotFoundError):
        kept = path.read_text().strip()
        if kept:
            return kept
    private_file.write(path, make + "\n")
    return make
