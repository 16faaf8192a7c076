"""Figures that are worked out once for all who watch them.

    register("counts", lambda: {"counts": status.counts()}, event="status")

A topic's function is called in a thread, while somebody watches it and never more often than it says. What it
returns is written as JSON, and sent where it has changed. monitoring/dashboard/live.py registers ours.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Topic(NamedTuple):
    """`event`: what it is sent as. `every`: seconds from one call to the next, at least."""

    event: str
    read: Callable[[], Any]
    every: float


# Made by the hub itself, of what workers publish: what was refused, what was stored, all changes of a status.
REJECTED, STORED, CHANGES = "rejected", "stored", "changes"

_topics: dict[str, Topic] = {}


def register(name: str, read: Callable[[], Any], event: str = "", every: float = 1.0) -> None:
    """`read` may ask the database and Redis; what it raises is logged, and nothing is sent."""
    _topics[name] = Topic(event or name, read, every)


def registered() -> dict[str, Topic]:
    return dict(_topics)


def known() -> list[str]:
    return sorted({*_topics, REJECTED, STORED, CHANGES})
