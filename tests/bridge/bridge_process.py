"""A bridge in a process of its own."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from scripted_broker import DEADLINE_SECONDS, until

from batches.batch import Batch, Message
from batches.store import BatchStore
from bridge.__main__ import main

PROJECT = Path(__file__).parents[2]
# What the tests set themselves; the rest of the environment is the tester's.
_OURS = ("MQTT_", "BRIDGE_", "BATCHES_", "LOG_LEVEL", "LANGUAGE_CODE", "FAILPOINTS", "REDIS_URL")

# A process that has imported all that a bridge needs, once, and of which each bridge is a copy.
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])


class Forked:
    """What `python -m bridge` does, in such a copy. As `subprocess.Popen`, so far as it is used."""

    def __init__(self, log: Path, environment: dict[str, str]) -> None:
        self._process = _forks.Process(target=_run, args=(log, environment))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("bridge", seconds or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


def _run(log: Path, environment: dict[str, str]) -> None:
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(written, stream.fileno())
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(PROJECT)
    sys.exit(main())


class BridgeProcess:
    """Started at once. `output`: all that it wrote, to stdout and stderr alike."""

    def __init__(self, log: Path, **environment: str) -> None:
        self._log = log
        self._log.touch()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self.process: Forked | subprocess.Popen[bytes]
        if "FAILPOINTS" in environment:  # they are armed by what is there when it is imported
            with log.open("wb") as written:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "bridge"],
                    env=inherited | environment,
                    stdout=written,
                    stderr=subprocess.STDOUT,
                    cwd=PROJECT,
                )
        else:
            self.process = Forked(log, inherited | environment)

    @property
    def output(self) -> str:
        return self._log.read_text()

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    def wait_for_line(self, text: str, times: int = 1, seconds: float = DEADLINE_SECONDS) -> None:
        until(
            lambda: self.output.count(text) >= times or self.process.poll() is not None,
            f"the line {text!r} in:\n{self.output}",
            seconds,
        )
        assert self.output.count(text) >= times, self.output

    def wait_for_exit(self, seconds: float = DEADLINE_SECONDS) -> int:
        return self.process.wait(seconds)

    def terminate(self, seconds: float = 5.0) -> int:
        """SIGTERM; its exit code. Fails where it takes longer than it may."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()


Start = Callable[..., BridgeProcess]


def handed_over(store: BatchStore) -> list[Batch]:
    """All batches that the store holds, oldest first."""
    batches = []
    for name, _ in store.redis.zrange("iot:batches:since", 0, -1, withscores=True):
        body = store.redis.hget(f"iot:batch:{name.decode()}", "body")
        batches.append(Batch.unpack(UUID(name.decode()), body))
    return batches


def messages(store: BatchStore) -> list[Message]:
    return [message for batch in handed_over(store) for message in batch.messages]


def payloads(store: BatchStore) -> list[bytes]:
    return [message.payload for message in messages(store)]
