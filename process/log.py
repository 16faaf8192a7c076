"""How a line of the log looks: alike from every process of ours, with the date and how far it is from UTC.

It is in the language of the installation, whoever's request it is about. A line is translated as it is
written: the code says `logger.warning("…: %s", why)` in English, and `make translations` finds that.
"""

import copy
import logging
import time
from datetime import datetime
from zoneinfo import ZoneInfo

from process.said import speaker


class Formatter(logging.Formatter):
    def __init__(self, zone: str, language: str = "en") -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")
        self._zone, self._say = zone, speaker(language)

    def format(self, record: logging.LogRecord) -> str:
        # A copy: other handlers get it as it was.
        record = copy.copy(record)
        if isinstance(record.msg, str):
            record.msg = self._say(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(map(self._filled_in, record.args))
        return super().format(record)

    def _filled_in(self, value: object) -> object:
        # A reason may be ours too; a word alone is a name or a code.
        return self._say(value) if isinstance(value, str) and " " in value else value

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return moment(self._zone, record.created)


def moment(zone: str, seconds: float | None = None) -> str:
    """`2026-01-28 16:07:55+01:00`; now, where no time is given."""
    given = time.time() if seconds is None else seconds
    return datetime.fromtimestamp(given, ZoneInfo(zone)).isoformat(sep=" ", timespec="seconds")


def to_stderr(level: str, zone: str, language: str = "en") -> None:
    """For a process without Django."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter(zone, language))
    logging.basicConfig(level=level, handlers=[handler])
