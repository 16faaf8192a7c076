"""The batch store: where batches wait, in Redis, until their rows are committed.

It is the truth about what is pending; Celery only carries ids. Both ends use this one class: the
bridge and the API hand over, the workers claim and finish.

    iot:batch:<id>       hash: body, messages, bytes, starts, postponed, touching, crashed
    iot:batches:due      sorted set: when a batch should be taken up (again)
    iot:batches:since    sorted set: when it was handed over
    iot:books            hash: handed_over, pending_messages, pending_bytes, redelivered
    iot:receipt:<...>    which batch was handed over last, or under an idempotency key
"""

import time
from typing import Any, NamedTuple, cast
from uuid import UUID

from redis import Redis
from redis.exceptions import OutOfMemoryError, ResponseError

from batches.batch import Batch
from batches.connect import connect
from batches.names import SEEN_BYTES, Bridge, NotOwnerError
from batches.scripts import run

# A batch that is not done by then has its task sent again (BATCH_LEASE_SECONDS).
LEASE_SECONDS = 30.0
LONGEST_DELAY_SECONDS = 60.0
# From this many deaths on, a worker notes every position before it touches it.
DEATHS_BEFORE_CARE = 3


class StoreFullError(Exception):
    """What is pending has reached BATCHES_MAX_BYTES, or Redis its maxmemory: try again later."""


class IdempotencyKeyReusedError(Exception):
    """The same Idempotency-Key came with another payload."""


class Receipt(NamedTuple):
    """What makes a repeated hand-over harmless.

    `once=True`: an idempotency key; whatever was handed over under it stands. `once=False`: the last
    batch of a bridge, which hands over one at a time.
    """

    key: str
    value: str
    seconds: int = 0
    once: bool = False


class Claim(NamedTuple):
    """A batch that a worker starts on. `deaths`: attempts before that never ended."""

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

    def hand_over(self, batch: Batch, receipt: Receipt, bridge: Bridge | None = None) -> UUID:
        """Makes the batch durable, whole or not at all; repeatable. Returns the id that stands.

        That is another id than the batch's own where an idempotency key was used before. Raises
        StoreFullError, NotOwnerError, IdempotencyKeyReusedError, and redis.RedisError where Redis
        does not answer: then it may or may not have been done, and the same call may be repeated.
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
        ]
        value = f"{batch_id} {receipt.value}"
        args: list[Any] = [
            batch_id,
            body,
            len(batch.messages),
            now,
            now + self.lease_seconds,
            self.max_bytes,
            value,
            receipt.seconds,
            int(receipt.once),
            bridge.token if bridge else "",
            bridge.seen if bridge else b"",
            SEEN_BYTES,
            bridge.window if bridge else 1,
            client,
        ]
        try:
            answer = cast(bytes, run(self.redis, "hand_over", keys, args)).decode()
        except OutOfMemoryError as error:
            raise StoreFullError(f"Redis has reached its maxmemory ({error})") from error
        except ResponseError as error:
            if "OOM" in str(error):
                raise StoreFullError(f"Redis has reached its maxmemory ({error})") from error
            raise
        if answer in ("handed over", "handed over before"):
            return batch.id
        if answer == "full":
            raise StoreFullError(f"BATCHES_MAX_BYTES ({self.max_bytes}) of batches are pending")
        if answer == "not owner":
            raise NotOwnerError(name)
        standing, _, said = answer.partition(" ")
        if said != receipt.value:
            raise IdempotencyKeyReusedError(receipt.key)
        return UUID(standing)

    # --- the worker's end ------------------------------------------------------------------------

    def claim(self, batch_id: UUID) -> Claim | None:
        """Counts an attempt and gives the batch, or None where it is done already."""
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

    def done(self, batch_id: UUID) -> bool:
        """Forgets a batch whose rows are committed. False where it was forgotten before."""
        keys = [f"iot:batch:{batch_id}", "iot:batches:due", "iot:batches:since", "iot:books"]
        return bool(run(self.redis, "done", keys, [str(batch_id)]))

    def postpone(self, batch_id: UUID) -> float:
        """Takes the attempt back and moves the due time on: 1 s, 2 s, 4 s, at most 60 s, which it returns."""
        answer = run(
            self.redis,
            "postpone",
            [f"iot:batch:{batch_id}", "iot:batches:due"],
            [str(batch_id), time.time(), LONGEST_DELAY_SECONDS],
        )
        return float(cast(bytes, answer))

    def times_postponed(self, batch_id: UUID) -> int:
        """How often it was postponed so far."""
        return int(cast(bytes | None, self.redis.hget(f"iot:batch:{batch_id}", "postponed")) or 0)

    def note_touching(self, batch_id: UUID, position: int | None) -> None:
        """Before a careful worker touches a position that may kill it; None: it touches none any more."""
        self.redis.hset(f"iot:batch:{batch_id}", "touching", "" if position is None else str(position))

    def careful_deaths(self, batch_id: UUID) -> dict[int, int]:
        """Position → how many careful workers have died there one after the other; counts the latest of them.

        One that died further on has come past the positions before it: they are cleared of a single death.
        """
        key = f"iot:batch:{batch_id}"
        touching, crashed = self.redis.hmget(key, "touching", "crashed")
        deaths = {}
        for one in cast(bytes, crashed or b"").decode().split():
            at, _, count = one.partition(":")
            deaths[int(at)] = int(count or 2)  # version 0.1 wrote the position alone, after one death
        if touching:
            died_at = int(touching)
            deaths = {at: count for at, count in deaths.items() if at >= died_at or count > 1}
            deaths[died_at] = deaths.get(died_at, 0) + 1
            said = " ".join(f"{at}:{count}" for at, count in sorted(deaths.items()))
            self.redis.hset(key, mapping={"touching": "", "crashed": said})
        return deaths

    def take_overdue(self, limit: int) -> list[UUID]:
        """Batches whose task must be sent again; their due time moves on."""
        now = time.time()
        ids = run(self.redis, "take_overdue", ["iot:batches:due"], [now, now + self.lease_seconds, limit])
        return [UUID(one.decode()) for one in cast(list[bytes], ids)]

    def figures(self) -> Figures:
        """Handed over and pending, as of one moment."""
        answer = run(self.redis, "figures", ["iot:books", "iot:batches:since"])
        *numbers, oldest = cast(list[bytes], answer)
        handed_over, redelivered, messages, size, batches = map(int, numbers)
        return Figures(handed_over, redelivered, messages, batches, size, float(oldest) if oldest else None)

    def count_redelivered(self, messages: int) -> None:
        """Messages that the broker sent again and that had been handed over before."""
        self.redis.hincrby("iot:books", "redelivered", messages)

    def durability_warning(self) -> str | None:
        """A line that says how this Redis could lose what it answered for, or None.

        A managed Redis may forbid CONFIG; then it is for the operator to know.
        """
        try:
            settings = cast(dict[str, str], self.redis.config_get("append*", "maxmemory-policy"))
        except ResponseError:
            return None
        if settings.get("appendonly") != "yes":
            return "Redis keeps no append-only file: kill -9 loses batches; set appendonly yes"
        if settings.get("appendfsync") != "always":
            return "Redis answers before it has written: set appendfsync always"
        if settings.get("maxmemory-policy") != "noeviction":
            return "Redis may evict batches: set maxmemory-policy noeviction"
        return None
