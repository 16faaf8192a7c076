"""What a batch brings of boards: what they say of themselves, and whose readings come on whose topics."""

from collections.abc import Hashable
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings

from batches.batch import Batch, to_datetime
from batches.topics import board_of, covers
from monitoring.decoders import Refusal
from monitoring.decoders.board_status import decode
from monitoring.models.board import Heard


class Statuses(NamedTuple):
    """The messages of a batch that say how boards are, and those among them that say nothing; none of them is
    a reading."""

    heard: list[Heard]
    refused: list[tuple[int, Refusal]]


def is_status(topic: str) -> bool:
    filters: tuple[str, ...] = settings.MQTT_STATUS_TOPICS
    return bool(filters) and _matches(filters, topic)


@lru_cache(20_000)
def _matches(filters: tuple[str, ...], topic: str) -> bool:
    return any(covers(one, topic) for one in filters)


def status_keys(batch: Batch) -> set[Hashable]:
    """What stands for a topic of that kind in the batch's rows; nearly always nothing."""
    return {key for key, topic in batch.topics().items() if is_status(topic)}


def read(batch: Batch) -> Statuses:
    statuses = Statuses([], [])
    if not (keys := status_keys(batch)):
        return statuses
    for position, row in enumerate(batch.rows()):
        if row[1] not in keys:
            continue
        message = batch.messages[position]
        said = decode(message.topic, message.payload, message.length)
        if isinstance(said, Refusal):
            statuses.refused.append((position, said))
        else:
            at = to_datetime(message.received_us)
            statuses.heard.append(Heard(said.name, said.online, at, message.retained))
    return statuses


def board_keys(batch: Batch) -> dict[Hashable, str]:
    """The board that a topic of readings names, by what stands for the topic in the batch's rows."""
    return {key: board for key, topic in batch.topics().items() if (board := board_of(topic))}
