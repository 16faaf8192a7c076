"""A field that looks like a device's time and is none: `timestamp` instead of `ts`.

Such a reading is no fault, so it is stored, under the time at which it was received; the admin says once
which field of which topic is ignored. One message of a batch is sampled: a device that sends so always does.
"""

import re
import time
from contextlib import suppress
from typing import NamedTuple, cast

from redis import Redis
from redis.exceptions import RedisError

from batches.batch import Message

FIELDS = ("timestamp", "time", "datetime")
_FIELD = re.compile(rb'"(timestamp|time|datetime|ts)"\s*:')
# It is said for a day after it was last seen, which is noted once a minute.
_SAID_SECONDS = 24 * 3600
_NOTE_SECONDS = 60.0
_noted: dict[str, float] = {}


class Unread(NamedTuple):
    field: str
    topic: str


def look(redis: "Redis", message: Message) -> None:
    """Notes a field of the message. Raises nothing: the message is stored already."""
    found = _FIELD.findall(message.payload)
    if not found or b"ts" in found:
        return
    field, now = found[0].decode(), time.monotonic()
    if now < _noted.get(field, 0.0):
        return
    _noted[field] = now + _NOTE_SECONDS
    with suppress(RedisError):
        redis.set(_key(field), message.topic, ex=_SAID_SECONDS)


def seen(redis: "Redis") -> list[Unread]:
    """What was noted within a day. Raises RedisError."""
    topics = cast(list[bytes | None], redis.mget([_key(field) for field in FIELDS]))
    return [
        Unread(field, topic.decode(errors="replace"))
        for field, topic in zip(FIELDS, topics, strict=True)
        if topic is not None
    ]


def _key(field: str) -> str:
    return f"iot:unread-time:{field}"
