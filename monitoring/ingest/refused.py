"""What is kept of the readings that a batch's messages were refused for: never much more than came.

A message of 16 KiB may be an array of eight thousand elements, each of which is refused. A row for each of
them would cost the database a hundred bytes for each one received, and seconds in which good neighbours wait.

- One refused reading of a message: a row with its own bytes.
- Several: a row each, as long as that costs at most STORED_FOR_RECEIVED bytes for each that was received; or
  a little more, while the batch has some of FEW_BYTES left, so that small arrays are kept apart too.
- Else one row with the whole message, which says how many of its elements were refused, which, and why.

Every refused reading is counted under its own code, however it is kept.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter

from batches.batch import Batch, to_datetime
from monitoring.decoders import Code, Refusal
from monitoring.decoders.reading import storable
from monitoring.models import RejectedMessage
from monitoring.models.rejected import ROW_BYTES, as_ranges
from monitoring.models.rejected_tally import hour_of

STORED_FOR_RECEIVED = 4
FEW_BYTES = 8 * 1024

# What was refused of each message, in the order of its elements, by its place in its batch.
Refused = Mapping[int, Sequence[Refusal]]

_code = attrgetter("code")


def rows(batch: Batch, refused: Refused) -> list[RejectedMessage]:
    """The rows that keep what was refused, in the order of the messages."""
    few = FEW_BYTES
    kept: list[RejectedMessage] = []
    for position in sorted(refused):
        refusals = refused[position]
        message = batch.messages[position]
        bound = STORED_FOR_RECEIVED * (len(message.payload) + len(message.topic))
        if len(refusals) > 1 and len(refusals) * ROW_BYTES > max(bound, few):
            kept.append(_whole(batch, position, refusals))
            continue
        # Worked out before there are rows: to make one costs ten times as much as this.
        cost = sum(_cost(message.topic, refusal) for refusal in refusals)
        if len(refusals) > 1 and cost > max(bound, few):
            kept.append(_whole(batch, position, refusals))
            continue
        if len(refusals) > 1 and cost > bound:
            few -= cost
        kept += [_one(batch, position, refusal) for refusal in refusals]
    return kept


def _cost(topic: str, refusal: Refusal) -> int:
    """RejectedMessage.cost of the row that `_one` would make."""
    size = len(refusal.payload)
    texts = len(topic.encode()) + len(refusal.detail.encode()) + 2 * len(refusal.code)
    return ROW_BYTES + texts + 16 * (refusal.sensor_id is not None) + size + size // 32


def counted(batch: Batch, refused: Refused) -> Counter[tuple[str, datetime]]:
    """How many readings were refused with a code, in an hour."""
    counts: Counter[tuple[str, datetime]] = Counter()
    for position, refusals in refused.items():
        hour = hour_of(to_datetime(batch.messages[position].received_us))
        for code, count in Counter(map(_code, refusals)).items():
            counts[code.value, hour] += count
    return counts


def in_order(refusals: Iterable[Refusal]) -> list[Refusal]:
    """A message's refusals in the order of its elements."""
    return sorted(refusals, key=lambda refusal: -1 if refusal.index is None else refusal.index)


def summary(refusals: Sequence[Refusal]) -> tuple[dict[str, list[int]], str]:
    """The indexes of a message's refused elements by code, the most frequent first, and that in words."""
    indexes: dict[Code, list[int]] = defaultdict(list)
    for refusal in refusals:
        indexes[refusal.code].append(refusal.index or 0)
    by_frequency = sorted(indexes.items(), key=lambda item: -len(item[1]))
    by_code = {code.value: which for code, which in by_frequency}
    sums = ", ".join(f"{len(which)} {code}" for code, which in by_code.items())
    first = refusals[0]
    detail = f"elements refused: {sums}; the first of them is element {first.index}: {first.detail}"
    return by_code, storable(detail)


def _one(batch: Batch, position: int, refusal: Refusal) -> RejectedMessage:
    message = batch.messages[position]
    whole = message.payload if refusal.index is None else refusal.payload
    return RejectedMessage(
        received_at=to_datetime(message.received_us),
        topic=message.topic,
        payload=refusal.payload,
        length=len(whole) if message.length is None else message.length,
        retained=message.retained,
        code=refusal.code.value,
        detail=refusal.detail,
        batch=batch.id,
        position=position,
        index=refusal.index,
        sensors=_sensors([refusal]),
    )


def _whole(batch: Batch, position: int, refusals: Sequence[Refusal]) -> RejectedMessage:
    message = batch.messages[position]
    by_code, detail = summary(refusals)
    return RejectedMessage(
        received_at=to_datetime(message.received_us),
        topic=message.topic,
        payload=message.payload,
        length=len(message.payload),
        retained=message.retained,
        code=next(iter(by_code)),
        detail=detail,
        batch=batch.id,
        position=position,
        elements=len(refusals),
        indexes="\n".join(f"{code} {as_ranges(which)}" for code, which in by_code.items()),
        sensors=_sensors(refusals),
    )


def _sensors(refusals: Iterable[Refusal]) -> list[int]:
    return sorted({refusal.sensor_id for refusal in refusals if refusal.sensor_id is not None})
