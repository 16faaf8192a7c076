"""The thread that hands batches over to Redis, one after the other, until each is durable."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from celery import Celery
from redis.exceptions import RedisError

from batches.batch import Batch
from batches.dispatch import send_ingest
from batches.names import CLAIM_SECONDS, Bridge, Names, NotOwnerError
from batches.store import BatchStore, Receipt, StoreFullError
from process.failpoints import failpoint
from process.heartbeat import INTERVAL_SECONDS, beat

logger = logging.getLogger(__name__)

_LONGEST_WAIT_SECONDS = 1.0


class Forget(NamedTuple):
    """The broker has forgotten the session: what its redeliveries were deduplicated by is void."""


class CountRedelivered(NamedTuple):
    messages: int


class HandOver(threading.Thread):
    """Consumes a queue of jobs, one after the other; sends the heartbeat and renews the lease of the name.

    While Redis is away, full, or over its bound, the same batch is retried with backoff under the same id,
    and nothing is acknowledged. The callbacks are called from this thread:

    on_durable(batch)       it may be acknowledged
    on_forgotten()          what an old session was deduplicated by is gone
    on_lost_ownership(why)  another process owns the name; the thread ends
    on_failed()             an error that nobody expects; the thread ends
    loop_turns()            whether the loop still turns: else heartbeat and lease are left to run out
    trouble()               what the heartbeat should say is wrong; '' for nothing
    serving_since()         since when the broker serves us, Unix seconds; None while it does not
    """

    def __init__(
        self,
        store: BatchStore,
        celery: Celery,
        bridge: Bridge,
        heartbeat: str,
        *,
        on_durable: Callable[[Batch], None],
        on_forgotten: Callable[[], None],
        on_lost_ownership: Callable[[str], None],
        on_failed: Callable[[], None],
        loop_turns: Callable[[], bool],
        trouble: Callable[[], str] = lambda: "",
        serving_since: Callable[[], float | None] = lambda: None,
    ) -> None:
        super().__init__(name="hand-over", daemon=True)
        self._store, self._celery, self._bridge, self._heartbeat = store, celery, bridge, heartbeat
        self._names = Names(store.redis)
        self._on_durable, self._on_forgotten = on_durable, on_forgotten
        self._on_lost_ownership, self._trouble = on_lost_ownership, trouble
        self._on_failed, self._loop_turns, self._serving_since = on_failed, loop_turns, serving_since
        self._jobs: queue.SimpleQueue[tuple[Batch, bytes] | Forget | CountRedelivered | None] = (
            queue.SimpleQueue()
        )
        self._stop_by: float | None = None
        self._stopping = threading.Event()
        self._next_beat = self._next_claim = 0.0
        self._said: tuple[str, float | None] = ("", None)

    def put(self, job: "tuple[Batch, bytes] | Forget | CountRedelivered") -> None:
        self._jobs.put(job)

    def stop(self, seconds: float) -> None:
        """Ends the thread once the queue is empty, or the time is up: what is left is not acknowledged."""
        self._stop_by = time.monotonic() + seconds
        self._stopping.set()
        self._jobs.put(None)
        self.join(seconds + 0.5)

    def run(self) -> None:
        try:
            self._work()
        except NotOwnerError as error:
            self._on_lost_ownership(str(error))
        except BaseException:
            logger.exception("the thread that hands over has failed")
            self._on_failed()

    def _work(self) -> None:
        while True:
            self._beat()
            try:
                job = self._jobs.get(timeout=1.0 if self._stop_by is None else 0.0)
            except queue.Empty:
                if self._stop_by is not None:
                    return
                continue
            if job is not None and not self._until_done(job):
                return

    def _until_done(self, job: "tuple[Batch, bytes] | Forget | CountRedelivered") -> bool:
        wait = 0.05
        complained = False
        while True:
            try:
                self._do(job)
            except (RedisError, OSError, StoreFullError) as error:
                if not complained:
                    logger.warning("cannot hand over, so nothing is acknowledged until it works: %s", error)
                    complained = True
                if self._stop_by is not None and time.monotonic() > self._stop_by:
                    return False
                if self._stop_by is None:
                    self._stopping.wait(wait)
                else:
                    time.sleep(min(wait, 0.1))
                self._beat()
                wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
            else:
                if complained:
                    logger.info("handing over again")
                return True

    def _do(self, job: "tuple[Batch, bytes] | Forget | CountRedelivered") -> None:
        if isinstance(job, Forget):
            failpoint("bridge.before_forget")
            self._names.forget_seen(self._bridge)
            self._on_forgotten()
        elif isinstance(job, CountRedelivered):
            self._store.count_redelivered(job.messages)
        else:
            batch, seen = job
            failpoint("bridge.before_hand_over")
            receipt = Receipt(f"bridge:{self._bridge.name}", "")
            handed_over = self._store.hand_over(batch, receipt, self._bridge._replace(seen=seen))
            failpoint("bridge.handed_over")
            self._on_durable(batch)
            send_ingest(self._celery, batch, handed_over.pending)

    def _beat(self) -> None:
        now = time.monotonic()
        if not self._loop_turns():
            return
        try:
            if now >= self._next_claim:
                self._next_claim = now + CLAIM_SECONDS / 5
                self._names.renew_claim(self._bridge)
            trouble, since = said = self._trouble(), self._serving_since()
            if now >= self._next_beat or said != self._said:
                self._next_beat, self._said = now + INTERVAL_SECONDS, said
                beat(self._store.redis, self._heartbeat, trouble)
                if since is not None:
                    self._names.note_serving(self._bridge.name, since, time.time())
        except (RedisError, OSError) as error:
            logger.debug("no heartbeat: %s", error)
