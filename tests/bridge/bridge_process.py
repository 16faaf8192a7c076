"""A bridge in a process of its own."""

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
from tests.forked import Forked

PROJECT = Path(__file__).parents[2]
# What the tests set themselves; the rest of the environment is the tester's.
_OURS = ("MQTT_", "BRIDGE_", "BATCHES_", "LOG_LEVEL", "LANGUAGE_CODE", "FAILPOINTS", "REDIS_URL")


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

    def terminate(self, seconds: float = 30.0) -> int:
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
