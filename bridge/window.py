"""What has been received and not acknowledged yet: the open batch, and how redeliveries are deduplicated."""

import hashlib
import itertools
import struct
import time
from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import itemgetter

from xxhash import xxh3_64_digest, xxh3_64_intdigest

from batches.batch import Packed, Row
from batches.names import SEEN_BYTES
from bridge.frames import Publish
from bridge.pace import FLUSH_MESSAGES

# Back-pressure: past this nothing is read, since messages at QoS 0 are bound by no window.
HELD_MOST_BYTES = 32 * 2**20
_dup = itemgetter(Publish._fields.index("dup"))


class Gathering:
    """Messages that will be one batch. `acks`: (connection epoch, packet id) in the order of arrival.

    `places`: of each message its place in `acks`, -1 at QoS 0: a redelivery puts its own ack there.
    """

    def __init__(self) -> None:
        self.messages = Packed([], [])
        self.mids: list[int] = []
        self.places: list[int] = []
        self.acks: list[tuple[int, int]] = []
        self.bytes = 0
        self._topics: dict[str, int] = {}
        self._seen: bytes | None = None

    def take(self, moments: Iterable[int], found: Sequence[Publish], epoch: int) -> Packed:
        """Adds messages that are new, as a batch packs them, and returns them.

        By columns, each in one call, not message by message: half of what a message costs here.
        """
        if not found:
            return Packed([], [])
        mids, _, retained, topics, payloads, lengths, digests = zip(*found, strict=True)
        for topic in dict.fromkeys(topics):
            if topic not in self._topics:
                self._topics[topic] = len(self._topics)
                self.messages.topics.append(topic)
        rows: list[Row] = list(zip(moments, map(self._topics.__getitem__, topics), payloads, strict=True))
        if any(retained) or any(lengths):
            more = zip(retained, lengths, digests, strict=True)
            rows = [(*row, *its) if any(its) else row for row, its in zip(rows, more, strict=True)]
        if all(mids):
            self.places += range(len(self.acks), len(self.acks) + len(mids))
            self.acks += zip(itertools.repeat(epoch), mids)
        else:
            place = itertools.count(len(self.acks))
            self.places += [next(place) if mid else -1 for mid in mids]
            self.acks += [(epoch, mid) for mid in mids if mid]
        self.mids += mids
        self.messages.rows += rows
        self.bytes += sum(map(len, topics)) + sum(map(len, payloads))
        return Packed(self.messages.topics, rows)

    def seen(self) -> bytes:
        """What redeliveries of these messages are deduplicated by: SEEN_BYTES each.

        Computed once: call it when no more are added.
        """
        if self._seen is None:
            rows, seeds = self.messages.rows, list(map(_seed, self.messages.topics))
            if all(self.mids) and max(map(len, rows), default=3) == 3:
                _, topics, payloads = zip(*rows, strict=True) if rows else ((), (), ())
                hashes = map(xxh3_64_digest, payloads, map(seeds.__getitem__, topics))
                pairs = itertools.chain.from_iterable(zip(self.mids, hashes, strict=True))
                self._seen = struct.pack(">" + "H8s" * len(rows), *pairs)
            else:
                self._seen = b"".join(
                    identity(mid, message.topic, message.digest or message.payload)
                    for mid, message in zip(self.mids, self.messages, strict=True)
                    if mid
                )
        return self._seen

    def forget(self) -> None:
        """None of them is recognised any more; those that are still added will be."""
        self.mids = [0] * len(self.mids)
        self._seen = None


@lru_cache(10_000)
def _seed(topic: str) -> int:
    return xxh3_64_intdigest(topic.encode())


def identity(mid: int, topic: str, payload: bytes) -> bytes:
    """Packet id and a hash of what it carried; of a payload that was cut, `payload` is its own digest.

    Not a cryptographic one, at a fifth of the cost: whoever makes two payloads of one hash, and is the
    broker that gives both the same packet id and says of the second that it was sent before, loses that.
    """
    return mid.to_bytes(2) + xxh3_64_digest(payload, _seed(topic))


def identity_of_0_1(mid: int, topic: str, payload: bytes) -> bytes:
    """As version 0.1 wrote it: what that had handed over is recognised after an upgrade too."""
    digest = hashlib.blake2b(topic.encode(), digest_size=SEEN_BYTES - 2)
    digest.update(payload)
    return mid.to_bytes(2) + digest.digest()


class Clock:
    """`received_us`: microseconds since 1970, UTC, strictly increasing within the process."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, count: int) -> range:
        """As many moments as there are messages."""
        first = max(self._last + 1, time.time_ns() // 1000)
        self._last = first + count - 1
        return range(first, first + count)


class Window:
    """Takes what comes, and deduplicates redeliveries.

    A PUBLISH with DUP set is a duplicate where its packet id and content are those of one of the last `size`
    messages handed over, or of one that is still here, which then is acknowledged on the new connection.
    Both are acknowledged in their turn. `seen`: what an earlier process handed over, from Redis.
    """

    def __init__(self, size: int, seen: bytes = b"") -> None:
        self.size = size
        self.open = Gathering()
        self.sealed: list[Gathering] = []
        self._clock = Clock()
        # Whole blobs, one a batch; together at least the last `size` messages.
        self._handed_over: deque[bytes] = deque([seen] if seen else [])
        self._recognised: set[bytes] | None = None
        self._here: dict[bytes, tuple[Gathering, int]] | None = None

    @property
    def held(self) -> int:
        """Messages that are not handed over yet."""
        return len(self.open.messages) + sum(len(one.messages) for one in self.sealed)

    @property
    def held_bytes(self) -> int:
        return self.open.bytes + sum(one.bytes for one in self.sealed)

    @property
    def has_room(self) -> bool:
        """Back-pressure: whether to read on. The bound is above the window, so a broker that keeps to that is
        always read.
        """
        return self.held < self.size + 2 * FLUSH_MESSAGES and self.held_bytes < HELD_MOST_BYTES

    def take(self, found: list[Publish], epoch: int) -> tuple[Packed, int]:
        """Adds what is new to the open batch. Returns that, and how many duplicates had been handed over."""
        redelivered = 0
        if any(map(_dup, found)):  # DUP
            fresh = []
            for publish in found:
                mid, dup, _, topic, payload, _, digest = publish
                known = self._recognise(mid, topic, digest or payload, epoch) if dup and mid else ""
                if known:
                    redelivered += known == "handed over"
                else:
                    fresh.append(publish)
            found = fresh
        new = self.open.take(self._clock.next(len(found)), found, epoch)
        if new:
            self._here = None
        return new, redelivered

    def _recognise(self, mid: int, topic: str, payload: bytes, epoch: int) -> str:
        """'' for a message that is new; of a duplicate "here" or "handed over", and its ack is queued."""
        key = identity(mid, topic, payload)
        here = self._index_of_what_is_here().get(key)
        if here is not None:
            gathering, place = here
            gathering.acks[gathering.places[place]] = (epoch, mid)
            return "here"
        if self._recognised is None:
            last = b"".join(self._handed_over)[-self.size * SEEN_BYTES :]
            self._recognised = {last[place : place + SEEN_BYTES] for place in range(0, len(last), SEEN_BYTES)}
        if key in self._recognised or identity_of_0_1(mid, topic, payload) in self._recognised:
            self.open.acks.append((epoch, mid))
            return "handed over"
        return ""

    def _index_of_what_is_here(self) -> dict[bytes, tuple[Gathering, int]]:
        if self._here is None:
            self._here = {
                identity(gathering.mids[place], message.topic, message.digest or message.payload): (
                    gathering,
                    place,
                )
                for gathering in (*self.sealed, self.open)
                for place, message in enumerate(gathering.messages)
                if gathering.mids[place]
            }
        return self._here

    def seal(self) -> Gathering:
        """Closes the open batch; the next message begins another."""
        gathering, self.open = self.open, Gathering()
        self.sealed.append(gathering)
        return gathering

    def handed_over(self, gathering: Gathering) -> None:
        """A sealed batch is durable: from now on redeliveries of its messages count as handed over."""
        self.sealed.remove(gathering)
        self._here = None
        if seen := gathering.seen():
            self._handed_over.append(seen)
            self._recognised = None
            count = sum(map(len, self._handed_over)) // SEEN_BYTES
            while count - len(self._handed_over[0]) // SEEN_BYTES >= self.size:
                count -= len(self._handed_over.popleft()) // SEEN_BYTES

    def forget(self) -> None:
        """The broker has begun a new session: its packet ids start again.

        What is still here was sent under the old ones, and must not hide a message of the new session.
        """
        self._handed_over.clear()
        self._recognised = self._here = None
        for gathering in (*self.sealed, self.open):
            gathering.forget()
