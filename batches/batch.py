"""A batch: messages on their way from the broker, or from the API, to the database."""

import os
import time
from collections.abc import Hashable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, overload
from uuid import UUID

import msgpack

# What is kept of a payload; the bridge cuts what is longer and says how long it was.
MAX_PAYLOAD_BYTES = 16 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMAT = 1


def time_ordered_id() -> UUID:
    """A UUID of version 7 (RFC 9562): milliseconds since 1970, then 74 random bits.

    The ledger's primary key grows at its end, so its index stays small and warm.
    """
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    number = milliseconds << 80 | random
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return UUID(int=number)


def to_datetime(microseconds: int) -> datetime:
    """UTC from microseconds since 1970, exactly."""
    return _EPOCH + timedelta(microseconds=microseconds)


class Message(NamedTuple):
    """One PUBLISH as it came. `received_us`: microseconds since 1970, UTC."""

    received_us: int
    topic: str
    payload: bytes
    retained: bool = False
    # Where the payload was longer than MAX_PAYLOAD_BYTES: its length and SHA-256; `payload` is its start.
    length: int | None = None
    digest: bytes | None = None


Row = Sequence[Any]


class Packed(Sequence[Message]):
    """Messages as they were packed: a Message is made when somebody looks at it, which few do.

    `rows`: each (received_us, topic's place, payload) and, for few, (..., retained, length, digest).
    """

    __slots__ = ("rows", "topics")

    def __init__(self, topics: list[str], rows: list[Row]) -> None:
        self.topics = topics
        self.rows = rows

    @overload
    def __getitem__(self, place: int) -> Message: ...
    @overload
    def __getitem__(self, place: slice) -> list[Message]: ...
    def __getitem__(self, place: int | slice) -> Message | list[Message]:
        if isinstance(place, slice):
            return [self._message(row) for row in self.rows[place]]
        return self._message(self.rows[place])

    def __len__(self) -> int:
        return len(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        raise TypeError("messages are no key")

    def _message(self, row: Row) -> Message:
        received_us, place, *rest = row
        return Message(received_us, self.topics[place], *rest)


class Batch(NamedTuple):
    """`source` says where it came from: `mqtt:<bridge name>` or `http`."""

    id: UUID
    source: str
    messages: Sequence[Message]

    def rows(self) -> Sequence[Sequence[Any]]:
        """Of each message (received_us, its topic or that's place, payload), or six as Message has them."""
        return self.messages.rows if isinstance(self.messages, Packed) else self.messages

    def topics(self) -> dict[Hashable, str]:
        """The topics, by what stands for each in `rows`."""
        if isinstance(self.messages, Packed):
            return dict(enumerate(self.messages.topics))
        return {topic: topic for topic in {message.topic for message in self.messages}}

    def pack(self) -> bytes:
        """msgpack of [format, source, topics, [[received_us, topic's place, payload, ...], ...]]."""
        if isinstance(self.messages, Packed):
            return self._packed(self.messages.topics, self.messages.rows)
        topics: dict[str, int] = {}
        rows: list[Row] = []
        for received_us, topic, payload, retained, length, digest in self.messages:
            place = topics.setdefault(topic, len(topics))
            if retained or length is not None:
                rows.append((received_us, place, payload, retained, length, digest))
            else:
                rows.append((received_us, place, payload))
        return self._packed(list(topics), rows)

    def _packed(self, topics: list[str], rows: list[Row]) -> bytes:
        packed: bytes = msgpack.packb([_FORMAT, self.source, topics, rows])
        return packed

    @classmethod
    def unpack(cls, batch_id: UUID, body: bytes) -> "Batch":
        """Raises ValueError where the body is not of a format that this version reads."""
        try:
            form, *rest = msgpack.unpackb(body)
            if form == _FORMAT:
                source, topics, rows = rest
                if min(map(len, rows), default=3) < 3:
                    raise ValueError("a message has a time, a topic and a payload")
                return cls(batch_id, source, Packed(topics, rows))
        except Exception as error:
            raise ValueError(f"batch {batch_id} cannot be unpacked: {error}") from error
        raise ValueError(f"batch {batch_id} has format {form}; this version reads {_FORMAT}")

    def summary(self) -> str:
        """What Flower shows of it: how many messages, their topic, the first payload."""
        first = self.messages[0]
        payload = first.payload[:120].decode(errors="replace")
        return f"{len(self.messages)} × {first.topic}: {payload}"
