"""Ctrl-C, for commands that end well."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def until_signalled(stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM end the run with its summary; a second one ends the process."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def asked(number: int, frame: object) -> None:
        stop()
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)

    for number in numbers:
        signal.signal(number, asked)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, before[number])
