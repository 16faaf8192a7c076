"""How far a long command has come: on a terminal a bar, rewritten; else a line every ten seconds."""

import time
from typing import Any

from monitoring.numbers import grouped

_TTY_SECONDS = 0.2
_LOG_SECONDS = 10.0
_BAR = 24


class Progress:
    """On `stream`, which is usually stderr: stdout may be what is being written."""

    def __init__(self, stream: Any, unit: str) -> None:
        self._stream, self._unit = stream, unit
        self._tty = bool(stream.isatty())
        self._started = self._shown = time.monotonic()
        self._begun_at: int | None = None
        self._rewriting = False

    def show(self, done: int, share: float, note: str = "") -> None:
        """`done` of the unit, which is `share` (0 to 1) of the whole."""
        now = time.monotonic()
        if self._begun_at is None:
            # What an earlier run did is no speed of this one.
            self._begun_at, self._started = done, now
        if now - self._shown < (_TTY_SECONDS if self._tty else _LOG_SECONDS):
            return
        self._shown = now
        speed = (done - self._begun_at) / max(now - self._started, 0.001)
        text = f"{share:4.0%}  {grouped(done)} {self._unit}, {grouped(speed)}/s  {note}".rstrip()
        if self._tty:
            filled = int(share * _BAR)
            self._stream.write(f"\r[{'#' * filled}{'.' * (_BAR - filled)}] {text}\033[K", ending="")
            self._stream.flush()
            self._rewriting = True
        else:
            self._stream.write(text)

    def line(self, text: str) -> None:
        """A line that stays, above the bar."""
        if self._rewriting:
            self._stream.write("\r\033[K", ending="")
            self._rewriting = False
        self._stream.write(text)
