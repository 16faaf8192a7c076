"""The batch store: the backlog of batches, in Redis, each until its rows are committed.

It is the source of truth for what is pending; Celery only carries ids. Both ends use this one class: the
producers (bridge and API) hand over, the consumers (workers) claim and acknowledge with `done`.

    iot:batch:<id>       hash: body, messages, bytes, starts, apart, postponed, touching, crashed
    iot:batches:due      sorted set: when a batch may be claimed (again)
    iot:batches:since    sorted set: when it was handed over
    iot:books            hash: handed_over, pending_messages, pending_bytes, receipt_bytes, redelivered
    iot:batches:lately   sorted set: the last thousand, by how many messages had been handed over with them
    iot:received:<hour>  hash: messages handed over in each minute of an hour, for a day
    iot:receipt:<...>    which batch was handed over last, or under an idempotency key
    iot:receipts         sorted set: the minutes in which receipts expire
    iot:receipts:bytes   hash: what those receipts cost

Delivery is at least once; the ledger makes its effect exactly once. A batch may be claimed as soon as it is
handed over. A claim is a lease: it moves the due time to the lease's end, and a batch that is not done by
then may be claimed by another worker. What a batch costs is counted when it is handed over and stands in its
`bytes`, so that exactly this is given back when it is done.
"""

import math
import time
from collections.abc import Collection
from typing import Any, NamedTuple, cast
from uuid import UUID

from redis import Redis
from redis.exceptions import OutOfMemoryError, ResponseError

from batches.batch import Batch
from batches.connect import connect
from batches.names import SEEN_BYTES, Bridge, NotOwnerError
from batches.scripts import run
from process.said import _

# The default of BATCH_LEASE_SECONDS: after so long another worker may claim a batch that is not done.
LEASE_SECONDS = 30.0
LONGEST_DELAY_SECONDS = 60.0
# From this many deaths on, a batch may hold a poison message: a worker notes every position before it
# touches it.
DEATHS_BEFORE_CARE = 3
# What a worker claims at once: one batch of any size, or small ones with no more than this.
TOGETHER_BATCHES, TOGETHER_MESSAGES, TOGETHER_BYTES = 250, 1000, 512 * 1024
# What a batch costs Redis beside its body: keys, fields, its places in two sorted sets, and room for these to
# grow. Of a body, jemalloc rounds up to the next of four sizes between two powers of two.
BATCH_OVERHEAD_BYTES = 1200
RECEIPT_OVERHEAD_BYTES = 192
# Idempotency keys live for a day: however many a client sends, most of the bound stays for batches.
_RECEIPTS_SHARE = 4
# What else Redis must have room for: tasks, heartbeats, what clients have not read yet.
_ROOM_BYTES = 32 * 2**20


def cost(body: bytes) -> int:
    """What a batch counts towards BATCHES_MAX_BYTES: at least what it makes Redis hold."""
    return BATCH_OVERHEAD_BYTES + len(body) * 5 // 4


def _received_key(now: float) -> str:
    return f"iot:received:{int(now) // 3600}"


def wanted_maxmemory(max_bytes: int) -> int:
    """The least `maxmemory` (bytes) with which a Redis holds `max_bytes` of batches and what else it has."""
    return max_bytes * 5 // 4 + _ROOM_BYTES


class StoreFullError(Exception):
    """The backlog has reached BATCHES_MAX_BYTES, receipts their share of it, or Redis its maxmemory.

    To be retried later.
    """


class IdempotencyKeyReusedError(Exception):
    """The same Idempotency-Key came with another payload."""


class Receipt(NamedTuple):
    """What makes handing over idempotent. `seconds`: how long it is kept; 0: for ever.

    `once=True`: an idempotency key; whatever was handed over under it stands, and a retry under it must
    have the same `value`. `once=False`: the last batch of a bridge, which hands over one at a time.
    """

    key: str
    value: str
    seconds: int = 0
    once: bool = False


class HandedOver(NamedTuple):
    """`batch_id`: the batch that stands. `pending`: the batches in the backlog."""

    batch_id: UUID
    pending: int


class Claim(NamedTuple):
    """A batch that a worker holds a lease of. `deaths`: earlier attempts at it alone that never ended."""

    batch_id: UUID
    body: bytes
    deaths: int

    @property
    def needs_care(self) -> bool:
        return self.deaths >= DEATHS_BEFORE_CARE


class Figures(NamedTuple):
    """The store's side of the books. `oldest_pending`: Unix seconds, None where nothing is pending."""

    handed_over: int
    redelivered: int
    pending_messages: int
    pending_batches: int
    pending_bytes: int
    oldest_pending: float | None


class Standing(NamedTuple):
    """What is pending, batch by batch, as of one moment: `messages` of the batches `pending`.

    `gone`: how many more are on the list, though somebody deleted their keys.
    """

    handed_over: int
    messages: int
    gone: int
    pending: list[UUID]


class BatchStore:
    """`redis` must give bytes (decode_responses=False) and have a socket timeout."""

    def __init__(self, redis: "Redis", max_bytes: int, lease_seconds: float = LEASE_SECONDS) -> None:
        self.redis = redis
        self.max_bytes = max_bytes
        self.lease_seconds = lease_seconds

    @classmethod
    def at(cls, url: str, max_bytes: int, lease_seconds: float = LEASE_SECONDS) -> "BatchStore":
        """A store at a redis:// URL, with the timeouts that a frozen Redis makes necessary."""
        return cls(connect(url), max_bytes, lease_seconds)

    def hand_over(self, batch: Batch, receipt: Receipt, bridge: Bridge | None = None) -> HandedOver:
        """Makes the batch durable: atomic and idempotent.

        Where an idempotency key was used before, the batch that was handed over with it stands instead of
        this one. Raises StoreFullError, NotOwnerError, IdempotencyKeyReusedError, and redis.RedisError where
        Redis does not answer: then it may or may not have been done, and the same call may be retried.
        """
        body = batch.pack()
        batch_id = str(batch.id)
        now = time.time()
        name, client = (bridge.name, bridge.client_id) if bridge else ("", "")
        keys = [
            f"iot:batch:{batch_id}",
            "iot:batches:due",
            "iot:batches:since",
            "iot:books",
            f"iot:receipt:{receipt.key}",
            f"iot:bridge:{name}",
            f"iot:seen:{client}",
            f"iot:seen:{client}:count",
            "iot:receipts",
            "iot:receipts:bytes",
            "iot:batches:lately",
            _received_key(now),
        ]
        value = f"{batch_id} {receipt.value}"
        args: list[Any] = [
            batch_id,
            body,
            len(batch.messages),
            now,
            cost(body),
            self.max_bytes,
            value,
            receipt.seconds,
            int(receipt.once),
            bridge.token if bridge else "",
            bridge.seen if bridge else b"",
            SEEN_BYTES,
            bridge.window if bridge else 1,
            client,
            len(keys[4]) + len(value) + RECEIPT_OVERHEAD_BYTES if receipt.seconds else 0,
            self.max_bytes // _RECEIPTS_SHARE,
        ]
        try:
            said, pending = cast(tuple[bytes, int], run(self.redis, "hand_over", keys, args))
        except OutOfMemoryError as error:
            raise StoreFullError(f"Redis has reached its maxmemory ({error})") from error
        except ResponseError as error:
            if "OOM" in str(error):
                raise StoreFullError(f"Redis has reached its maxmemory ({error})") from error
            raise
        answer = said.decode()
        if answer in ("handed over", "handed over before"):
            return HandedOver(batch.id, pending)
        if answer == "full":
            raise StoreFullError(f"BATCHES_MAX_BYTES ({self.max_bytes}) of batches are pending")
        if answer == "full of receipts":
            raise StoreFullError(
                f"receipts of Idempotency-Keys fill 1/{_RECEIPTS_SHARE} of BATCHES_MAX_BYTES"
            )
        if answer == "not owner":
            raise NotOwnerError(name)
        standing, _, what = answer.partition(" ")
        if what != receipt.value:
            raise IdempotencyKeyReusedError(receipt.key)
        return HandedOver(UUID(standing), pending)

    # --- the worker's end ------------------------------------------------------------------------

    def take(self) -> list[Claim]:
        """Claims the batch that has been due longest, and small ones that were due next; [] if none is.

        Of a batch that is taken alone the attempt is counted. Those that are taken together count as not
        started: should the worker die, each is taken alone once the lease has run out.
        """
        now = time.time()
        limits = [TOGETHER_BATCHES, TOGETHER_MESSAGES, TOGETHER_BYTES]
        taken = run(
            self.redis, "take", ["iot:batches:due"], [now, now + self.lease_seconds, "iot:batch:", *limits]
        )
        return [
            Claim(UUID(batch_id.decode()), body, deaths)
            for batch_id, body, deaths in cast(list[tuple[bytes, bytes, int]], taken)
        ]

    def claim(self, batch_id: UUID) -> Claim | None:
        """Claims this batch, due or not, and counts the attempt; None where it is done already."""
        answer = run(
            self.redis,
            "claim",
            [f"iot:batch:{batch_id}", "iot:batches:due"],
            [str(batch_id), time.time() + self.lease_seconds],
        )
        if not answer:
            return None
        body, deaths = cast(tuple[bytes, int], answer)
        return Claim(batch_id, body, int(deaths))

    def done(self, *batch_ids: UUID) -> int:
        """Acknowledges batches whose rows are committed, which deletes them; returns how many were there."""
        keys = ["iot:batches:due", "iot:batches:since", "iot:books", *map("iot:batch:{}".format, batch_ids)]
        return cast(int, run(self.redis, "done", keys, list(map(str, batch_ids))))

    def postpone(self, batch_id: UUID, *, apart: bool = False) -> float:
        """Takes the attempt back, and has it retried after a backoff: 1 s, 2 s, 4 s, at most 60 s.

        Returns these seconds. `apart`: the batch is not taken together with others the next time.
        """
        return self._postpone([batch_id], starts=1, apart=apart)

    def postpone_together(self, batch_ids: Collection[UUID]) -> float:
        """The same for batches taken together, of which none counts as started; returns the longest delay."""
        return self._postpone(batch_ids, starts=0, apart=False)

    def _postpone(self, batch_ids: Collection[UUID], *, starts: int, apart: bool) -> float:
        answer = run(
            self.redis,
            "postpone",
            ["iot:batches:due", *map("iot:batch:{}".format, batch_ids)],
            [time.time(), LONGEST_DELAY_SECONDS, starts, int(apart), *map(str, batch_ids)],
        )
        return float(cast(bytes, answer))

    def times_postponed(self, batch_id: UUID) -> int:
        """How often it was postponed so far."""
        return int(cast(bytes | None, self.redis.hget(f"iot:batch:{batch_id}", "postponed")) or 0)

    def note_touching(self, batch_id: UUID, position: int | None) -> None:
        """Before a careful worker touches a position that may kill it; None: it touches none any more."""
        self._note(batch_id, touching="" if position is None else str(position))

    def careful_deaths(self, batch_id: UUID) -> dict[int, int]:
        """Position → how many careful workers have died there one after the other: poison messages show.

        Counts the latest death too. A worker that died further on got past the positions before, which are
        then cleared of a single death.
        """
        touching, crashed = self.redis.hmget(f"iot:batch:{batch_id}", "touching", "crashed")
        deaths = {}
        for one in cast(bytes, crashed or b"").decode().split():
            at, _, count = one.partition(":")
            deaths[int(at)] = int(count or 2)  # version 0.1 wrote the position alone, after one death
        if touching:
            died_at = int(touching)
            deaths = {at: count for at, count in deaths.items() if at >= died_at or count > 1}
            deaths[died_at] = deaths.get(died_at, 0) + 1
            said = " ".join(f"{at}:{count}" for at, count in sorted(deaths.items()))
            self._note(batch_id, touching="", crashed=said)
        return deaths

    def _note(self, batch_id: UUID, **fields: str) -> None:
        run(self.redis, "note", [f"iot:batch:{batch_id}"], [part for one in fields.items() for part in one])

    def due(self, most: int) -> list[UUID]:
        """Batches that may be claimed, as no lease or backoff runs: at most `most`, the longest due first."""
        ids = self.redis.zrangebyscore("iot:batches:due", "-inf", time.time(), start=0, num=most)
        return [UUID(one.decode()) for one in cast(list[bytes], ids)]

    def figures(self) -> Figures:
        """Handed over and pending, as of one moment."""
        answer = run(self.redis, "figures", ["iot:books", "iot:batches:since"])
        *numbers, oldest = cast(list[bytes], answer)
        handed_over, redelivered, messages, size, batches = map(int, numbers)
        return Figures(handed_over, redelivered, messages, batches, size, float(oldest) if oldest else None)

    def standing(self, most: int) -> Standing | None:
        """Handed over and pending as of one moment; None where more than `most` batches are pending."""
        keys = ["iot:books", "iot:batches:since"]
        found = cast("list[Any] | None", run(self.redis, "standing", keys, [most, "iot:batch:"]))
        if found is None:
            return None
        handed_over, messages, gone, *ids = found
        return Standing(handed_over, messages, gone, [UUID(one.decode()) for one in ids])

    def handed_over_after(self, handed_over: int) -> set[UUID] | None:
        """The batches that were handed over after the first so many messages.

        None where that is not known: there were more than a thousand, or Redis began anew."""
        answer = run(self.redis, "since", ["iot:books", "iot:batches:lately"], [handed_over])
        now, *entries = (part.decode().split(" ") for part in cast(list[bytes], answer))
        if sum(int(messages) for _, messages in entries) != int(now[0]) - handed_over:
            return None
        return {UUID(batch_id) for batch_id, _ in entries}

    def forget_gone(self) -> int:
        """Forgets batches whose keys somebody deleted, for nobody can store them; returns how many."""
        keys = ["iot:batches:due", "iot:batches:since", "iot:books"]
        return cast(int, run(self.redis, "forget_gone", keys, ["iot:batch:"]))

    def received(self, start: float, end: float) -> dict[int, int]:
        """Messages handed over in each minute of [start, end), Unix seconds: {the minute's begin: messages}.

        Of the last day; a minute in which none was is left out.
        """
        hours = range(int(start) // 3600, math.ceil(end / 3600))
        with self.redis.pipeline(transaction=False) as pipeline:
            for hour in hours:
                pipeline.hgetall(_received_key(hour * 3600))
            found = cast(list[dict[bytes, bytes]], pipeline.execute())
        minutes = {
            hour * 3600 + int(minute) * 60: int(messages)
            for hour, of_hour in zip(hours, found, strict=True)
            for minute, messages in of_hour.items()
        }
        return {minute: minutes[minute] for minute in sorted(minutes) if start <= minute < end}

    def count_redelivered(self, messages: int) -> None:
        """Messages that the broker sent again and that had been handed over before."""
        self.redis.hincrby("iot:books", "redelivered", messages)

    def warnings(self) -> list[str]:
        """Lines that say how this Redis could lose what it acknowledged, or fill up before its bound.

        A managed Redis may forbid CONFIG; then its durability is for the operator to know.
        """
        return [line for line in (self._durability(), self._room()) if line]

    def _durability(self) -> str | None:
        try:
            settings = cast(dict[str, str], self.redis.config_get("append*", "maxmemory-policy"))
        except ResponseError:
            return None
        if settings.get("appendonly") != "yes":
            return _("Redis keeps no append-only file: kill -9 loses batches; set appendonly yes")
        if settings.get("appendfsync") != "always":
            return _("Redis answers before it has written: set appendfsync always")
        if settings.get("maxmemory-policy") != "noeviction":
            return _("Redis may evict batches: set maxmemory-policy noeviction")
        return None

    def _room(self) -> str | None:
        holds = int(self.redis.info("memory").get("maxmemory", 0))
        wanted = wanted_maxmemory(self.max_bytes)
        if not holds or holds >= wanted:
            return None
        return (
            f"Redis may be full before BATCHES_MAX_BYTES ({self.max_bytes >> 20} MiB) of batches wait: its"
            f" maxmemory is {holds >> 20} MiB; set it to {-(-wanted >> 20)} MiB or more, or BATCHES_MAX_BYTES"
            " to less"
        )
