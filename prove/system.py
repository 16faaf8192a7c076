"""The services, and the processes of the Procfile: started, hurt, and started again as a supervisor does."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import redis

from runner import processes
from runner.child import FIRST_DELAY, read_procfile
from runner.services import Broker, Postgres, Redis
from runner.services.base import Binaries, ServiceError

PROJECT = Path(__file__).parent.parent
# What is hurt, beside the services; web and Flower take no part in the way of a message.
PROCESSES = ("bridge", "worker", "upkeep", "beat")


def installed() -> Binaries:
    """Debian's PostgreSQL, Redis and Mosquitto where all three are there."""
    try:
        Postgres(Path("/nonexistent"), binaries="system").bin()
        Redis(Path("/nonexistent"), binaries="system").binary()
        Broker(Path("/nonexistent"), binaries="system")._command()
    except ServiceError:
        return "wheels"
    return "system"


class System:
    """Everything in `folder`; the logs of the processes are there after it."""

    def __init__(self, folder: Path, binaries: Binaries, environment: dict[str, str]) -> None:
        self.folder, self.binaries = folder, binaries
        self.postgres = Postgres(folder / "postgres", binaries=binaries)
        self.redis = Redis(folder / "redis", binaries=binaries)
        self.broker = Broker(folder / "mqtt", binaries=binaries)
        for service in (self.postgres, self.redis, self.broker):
            service.start()
        (folder / "data").mkdir()
        self.environment = {
            "ENV_FILES": "0",
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.redis.url,
            "MQTT_URL": self.broker.url,
            "SECRET_KEY": "for the proof alone",
            "DATA_DIR": str(folder / "data"),
            "LOG_LEVEL": "INFO",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "WEB_LISTEN": "127.0.0.1",
            "WEB_PORT": "0",
            "FLOWER_PORT": "0",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **environment,
        }
        self._commands = read_procfile(PROJECT / "Procfile", os.environ | self.environment)
        self.names = [name for name in PROCESSES if name in self._commands]
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        # Processes that a fault has ended, and starts again.
        self._hurt: set[str] = set()
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        #: What ended by itself, how often: nothing should.
        self.ended: Counter[str] = Counter()

    def manage(self, *command: str) -> None:
        subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=PROJECT,
            env=os.environ | self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def start(self, name: str) -> None:
        """A line of the Procfile. What an earlier one left behind is ended first."""
        with self._lock, open(self.folder / f"{name}.log", "ab") as log:
            if (before := self._running.get(name)) is not None:
                processes.kill_all(processes.session(before.pid))
                before.wait()
            self._running[name] = processes.spawn(
                self._commands[name],
                cwd=PROJECT,
                env=os.environ | self.environment,
                output=log,
                death_signal=signal.SIGKILL,
            )
            self._hurt.discard(name)

    def supervise(self) -> None:
        """From now on what ends by itself is started again, as the runner and Compose do, and counted."""
        threading.Thread(target=self._supervise, name="supervisor", daemon=True).start()

    def _supervise(self) -> None:
        while not self._stopping.wait(FIRST_DELAY):
            for name in self.names:
                with self._lock:
                    if self._stopping.is_set():
                        return
                    if name not in self._hurt and self._running[name].poll() is not None:
                        self.ended[name] += 1
                        self.start(name)

    def wait_for_heartbeats(self, seconds: float = 60) -> None:
        client = redis.Redis.from_url(self.redis.url)
        deadline = time.monotonic() + seconds
        while missing := [name for name in self.names if not client.exists(f"iot:heartbeat:{name}")]:
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"not at work after {seconds:g} s: {', '.join(missing)} (logs: {self.folder})"
                )
            time.sleep(0.05)

    def stop(self) -> None:
        self._stopping.set()
        with self._lock:
            for process in self._running.values():
                processes.kill_all(processes.family(process.pid) | {process.pid})
                process.wait()
        for service in (self.broker, self.redis, self.postgres):
            service.stop()

    # --- what can be hurt -------------------------------------------------------------------------

    def pids(self, target: str, choose: random.Random) -> list[int]:
        """The processes that a fault of this target hurts; empty where there are none just now."""
        if target == "redis":
            return _alive(self.redis.pid)
        if target == "postgres":
            return [*sorted(processes.family(self.postgres.pid or 0)), *_alive(self.postgres.pid)]
        if target == "backend":
            backends = sorted(filter(_serves_a_client, processes.family(self.postgres.pid or 0)))
            return [choose.choice(backends)] if backends else []
        name, _, child = target.partition(" ")
        process = self._running[name]
        if process.poll() is not None:
            return []
        if child:
            children = sorted(processes.family(process.pid))
            return [choose.choice(children)] if children else []
        return [process.pid]

    def start_again(self, target: str) -> Callable[[], object] | None:
        """What has to be started by somebody after this target was killed; None: it comes back by itself."""
        if target == "redis":
            return self.redis.start
        if target == "postgres":
            return self.postgres.start
        if target == "backend" or " " in target:
            return None
        return lambda: self.start(target)

    def kill(self, target: str, choose: random.Random) -> bool:
        if target == "redis":
            self.redis.kill()
            return True
        if target == "postgres":
            self.postgres.kill()
            return True
        with self._lock:
            pids = self.pids(target, choose)
            if target in self.names and pids:
                self._hurt.add(target)
            processes.kill_all(pids)
        return bool(pids)


TARGETS = ("bridge", "worker", "worker child", "upkeep", "beat", "redis", "postgres", "backend")


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _alive(pid: int | None) -> list[int]:
    return [] if pid is None else [pid]


def _serves_a_client(pid: int) -> bool:
    """PostgreSQL says in its title whom a backend serves: user, database, address."""
    with contextlib.suppress(OSError):
        return b" 127.0.0.1" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
