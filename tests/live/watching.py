"""A viewer in a test: what a stream says, event by event."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from batches.store import BatchStore
from monitoring.live.channel import Newest, News, channel


class Event(NamedTuple):
    """`id`: that of the line before it, or None; `name`: "" for a comment."""

    id: int | None
    name: str
    data: Any

    @classmethod
    def read(cls, text: str) -> "Event":
        fields = dict(line.split(": ", 1) for line in text.split("\n") if ": " in line)
        return cls(
            int(fields["id"]) if "id" in fields else None,
            fields.get("event", ""),
            json.loads(fields.get("data", "null")),
        )


class Viewer:
    """Reads a stream to its end, as long as nobody says pause()."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self.events: list[Event] = []
        self.has_ended = False
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self._task = asyncio.create_task(self._read(stream))

    async def _read(self, stream: AsyncIterator[bytes]) -> None:
        async for chunk in stream:
            self.events += map(Event.read, chunk.decode().removesuffix("\n\n").split("\n\n"))
            await self._goes_on.wait()
        self.has_ended = True

    def pause(self) -> None:
        self._goes_on.clear()

    def go_on(self) -> None:
        self._goes_on.set()

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def named(self, name: str) -> list[Any]:
        return [event.data for event in self.events if event.name == name]

    def values(self, sensor_id: int) -> list[float]:
        """As they came."""
        return [
            v for data in self.named("m") for s, v in zip(data["s"], data["v"], strict=True) if s == sensor_id
        ]

    def last_id(self) -> int:
        return max(event.id for event in self.events if event.id is not None)


async def until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"waited {seconds:g} s for {what}") from None


def publish(store: BatchStore, *stored: tuple[int, float], **more: Any) -> int:
    """As a worker does; (sensor, value), each at a moment of its own. Returns how many listen."""
    publish.moment += 1  # type: ignore[attr-defined]
    news = News(
        {sensor_id: Newest(publish.moment, value, 1) for sensor_id, value in stored},  # type: ignore[attr-defined]
        **more,
    )
    listeners: int = store.redis.publish(channel(store.redis), news.pack())
    return listeners


publish.moment = 1_796_000_000_000_000  # type: ignore[attr-defined]
