"""A span of time."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, order=True)
class Span:
    """A half-open span of time, UTC: start is in it, end is not."""

    start: datetime
    end: datetime
