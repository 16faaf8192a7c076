"""What bridge and worker log of the messages that pass: a line each while they are few, else one a second."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping

FEW_A_SECOND = 10


def say(lines: Mapping[str, Mapping[str, str]], language: str, key: str, *values: object) -> str:
    """A line of the log in the language asked for; English where it is not known."""
    return lines.get(language, lines["en"])[key].format(*values)


def readable(payload: bytes) -> str:
    """A payload as a log can show it: one line, no control characters, not long."""
    text = payload[:200].decode(errors="replace")
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return shown + ("…" if len(payload) > 200 else "")


class Report:
    """Throttles the log: up to FEW_A_SECOND lines pass as they are, the rest become one summary a second."""

    def __init__(
        self,
        logger: logging.Logger,
        summarize: Callable[[list[int], float], str],
        counts: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`summarize(counts, seconds)` makes the line of a second in which there were many."""
        self._logger, self._summarize, self._clock = logger, summarize, clock
        self._since = clock()
        self._said = 0
        self._counts = [0] * counts

    def tell(self, lines: Iterable[Callable[[], str]], counts: list[int]) -> None:
        """Logs `lines`, which are made only then; past the limit, adds `counts` to the summary instead."""
        self.tick()
        lines = list(lines)
        if self._said + len(lines) <= FEW_A_SECOND:
            self._said += len(lines)
            for make in lines:
                self._logger.info(make())
        else:
            self._said = FEW_A_SECOND
            self._counts = [old + new for old, new in zip(self._counts, counts, strict=True)]

    def tick(self) -> None:
        """Logs the summary of a second that is over; a loop calls this, for no more messages may come."""
        now = self._clock()
        if now - self._since < 1:
            return
        if any(self._counts):
            self._logger.info(self._summarize(self._counts, now - self._since))
            self._counts = [0] * len(self._counts)
        self._since, self._said = now, 0
