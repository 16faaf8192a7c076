"""What the run prints: a line for each step with its time, and beneath it what was found."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Failure(Exception):
    """What should hold does not; the message says what was found instead."""


def require(holds: object, otherwise: str) -> None:
    if not holds:
        raise Failure(otherwise)


class Transcript:
    def __init__(self) -> None:
        self.began = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Prints the step once it has ended. What it yields takes a line to print beneath."""
        found: list[str] = []
        began = time.monotonic()
        outcome = "FAILED"
        try:
            yield found.append
            outcome = "ok"
        finally:
            self.say(f"{outcome:<6} {time.monotonic() - began:6.1f} s  {title}")
            for line in found:
                self.say(f"                  {line}")

    def say(self, line: str) -> None:
        print(line, flush=True)

    def seconds(self) -> float:
        return time.monotonic() - self.began


def wait_for(condition: Callable[[], T | None], what: str, seconds: float = 120) -> T:
    """What the condition gives once it is true. An OSError is a no. Raises Failure when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        refusal = ""
        try:
            if found := condition():
                return found
        except OSError as error:
            refusal = f" ({error})"
        if time.monotonic() > deadline:
            raise Failure(f"waited {seconds:.0f} s for {what}{refusal}")
        time.sleep(0.1)


def warn(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
