"""What goes wrong between a board and the broker: on purpose, and counted."""

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from heapq import heappop, heappush

from django.utils.translation import gettext

from monitoring.decoders import Code
from monitoring.decoders.json.examples import load

from .boards import measure, probes

EVERY = 50
"""Each fault hits one message in so many, at a random place among them."""
LATE_SECONDS = (60.0, 6 * 3600.0)
HELD_BACK = (5, 60)
"""How many others go before a message that is out of order."""

# What is wrong with the payload itself, whatever sensors there are and whatever the time is.
GARBAGE_CODES = {
    Code.TOO_LARGE,
    Code.NOT_UTF8,
    Code.NOT_JSON,
    Code.NOT_AN_OBJECT,
    Code.EMPTY,
    Code.MISSING_FIELD,
    Code.BAD_TYPE,
    Code.NOT_FINITE,
    Code.BAD_TS,
}


class Kind(StrEnum):
    """What becomes of a message: good and late ones are stored, the others not."""

    GOOD = "good"
    DUPLICATE = "duplicate"
    LATE = "late"
    GARBAGE = "garbage"


FAULTS = {"duplicates": Kind.DUPLICATE, "late": Kind.LATE, "garbage": Kind.GARBAGE}


@dataclass(frozen=True, slots=True)
class Message:
    payload: bytes
    kind: Kind


def parse(text: str) -> frozenset[Kind]:
    """From `duplicates,late`. Raises ValueError, which names those there are."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in FAULTS]:
        said = {"unknown": ", ".join(unknown), "known": ", ".join(FAULTS)}
        raise ValueError(gettext("no such fault: %(unknown)s; there are %(known)s") % said)
    return frozenset(FAULTS[name] for name in names)


def garbage_payloads() -> list[bytes]:
    """The decoder's examples of what ends as exactly one rejected message, wherever it is sent."""
    return [
        example.message
        for example in load()
        if not example.readings
        and not example.retained
        and len(example.rejected) == 1
        and example.rejected[0].code in GARBAGE_CODES
    ]


class Messages:
    """What boards publish, faults and all; the same for the same seed and times."""

    def __init__(self, faults: Collection[Kind] = (), *, ts: bool = False, seed: int | None = None) -> None:
        """Raises ValueError for late messages without `ts`: nothing would show that they are late."""
        if Kind.LATE in faults and not ts:
            raise ValueError(gettext("late messages need ts: without it nothing shows that they are late"))
        self._ts = ts
        self._random = random.Random(seed)  # noqa: S311
        self._next: dict[Kind, Iterator[bool]] = {kind: self._now_and_then() for kind in sorted(faults)}
        self._garbage = garbage_payloads() if Kind.GARBAGE in faults else []
        self._waiting: list[tuple[int, int, Message]] = []
        self._read = 0
        self._last_ts = 0.0

    def of(self, board: int, at: float) -> Iterator[Message]:
        """What goes out when a board reads its sensors at `at` (Unix seconds): about three messages."""
        at = self._last_ts = max(round(at, 6), round(self._last_ts + 1e-6, 6))
        values = measure(board, at)
        for index, value in enumerate(values):
            self._read += 1
            yield from self._one(board, index, value, at)
            while self._waiting and self._waiting[0][0] <= self._read:
                yield heappop(self._waiting)[2]

    def _one(self, board: int, index: int, value: float, at: float) -> Iterator[Message]:
        if not self._hits(Kind.LATE):
            message = Message(self._payload(board, index, value, at), Kind.GOOD)
            yield message
        elif self._random.random() < 0.5:  # out of order: others go first
            message = Message(self._payload(board, index, value, at), Kind.LATE)
            self._wait(message, self._random.randint(*HELD_BACK))
        else:  # measured long ago, while the board had no network
            then = round(at - self._random.uniform(*LATE_SECONDS), 6)
            message = Message(self._payload(board, index, measure(board, then)[index], then), Kind.LATE)
            yield message
        if self._hits(Kind.DUPLICATE):
            again = Message(message.payload, Kind.DUPLICATE)
            if message.kind is Kind.LATE or self._random.random() < 0.5:
                self._wait(again, HELD_BACK[1] + self._random.randint(*HELD_BACK))
            else:
                yield again
        if self._hits(Kind.GARBAGE):
            yield Message(self._some_garbage(), Kind.GARBAGE)

    def _payload(self, board: int, index: int, value: float, at: float) -> bytes:
        probe = probes(board)[index]
        ts = f', "ts": {at:.6f}' if self._ts else ""
        named = f'"sensor_id": {probe.sensor_id}, "type": "{probe.kind}"'
        return f'{{{named}, "value": {value}, "unit": "{probe.unit}"{ts}}}'.encode()

    def _some_garbage(self) -> bytes:
        if self._random.random() < 0.25:
            # 0xFF stands nowhere in UTF-8, so that chance cannot make this a reading.
            return b"\xff" + self._random.randbytes(self._random.randint(0, 200))
        return self._random.choice(self._garbage)

    def _wait(self, message: Message, others: int) -> None:
        heappush(self._waiting, (self._read + others, self._random.getrandbits(62), message))

    def _hits(self, kind: Kind) -> bool:
        chances = self._next.get(kind)
        return chances is not None and next(chances)

    def _now_and_then(self) -> Iterator[bool]:
        while True:
            place = self._random.randrange(EVERY)
            yield from (index == place for index in range(EVERY))
