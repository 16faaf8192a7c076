"""How a line of the log looks: alike from every process of ours, with the date and how far it is from UTC."""

import logging
import time
from datetime import datetime
from zoneinfo import ZoneInfo


class Formatter(logging.Formatter):
    def __init__(self, zone: str) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")
        self._zone = zone

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return moment(self._zone, record.created)


def moment(zone: str, seconds: float | None = None) -> str:
    """`2026-01-28 16:07:55+01:00`; now, where no time is given."""
    given = time.time() if seconds is None else seconds
    return datetime.fromtimestamp(given, ZoneInfo(zone)).isoformat(sep=" ", timespec="seconds")


def to_stderr(level: str, zone: str) -> None:
    """For a process without Django."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter(zone))
    logging.basicConfig(level=level, handlers=[handler])
