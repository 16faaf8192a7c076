"""The bridge's loop: receive, gather, have it handed over, acknowledge."""

import contextlib
import logging
import select
import signal
import time
from collections import deque
from functools import partial
from types import FrameType
from typing import Any
from uuid import UUID

from redis.exceptions import RedisError

from batches.batch import Batch, time_ordered_id
from batches.dispatch import celery_app
from batches.names import Bridge, Names, NotOwnerError
from batches.store import BatchStore
from bridge.connection import Connection
from bridge.hand_over import CountRedelivered, Forget, HandOver
from bridge.lines import line
from bridge.owner import Owner, take_name
from bridge.pace import Pace
from bridge.settings import BridgeSettings
from bridge.subscription import Subscription
from bridge.waking import Waking
from bridge.window import Gathering, Window
from process.backoff import HELD_SECONDS, Backoff
from process.failpoints import failpoint
from process.heartbeat import bridge_process
from process.report import Report, readable
from process.said import _

logger = logging.getLogger(__name__)

# How long the loop waits for its sockets at most: PINGREQs and the log's summaries come by time.
IDLE_SECONDS = 1.0


class Receiver:
    """One bridge process. `run` returns its exit code when it was told to stop, or lost its name."""

    def __init__(self, settings: BridgeSettings) -> None:
        self.settings = settings
        self.store = BatchStore.at(settings.redis_url, settings.batches_max_bytes, settings.lease_seconds)
        self.names = Names(self.store.redis)
        self.subscription = Subscription(settings)
        self._token = str(Owner.this_process())
        self._stopping = ""
        self._exit_code = 0
        # Since when the broker serves us, by the clock that others read, too.
        self._serving_since: float | None = None
        self._pace = Pace()
        self._last_turn = time.monotonic()
        self._durable: deque[Batch] = deque()
        self._in_flight: dict[UUID, Gathering] = {}
        self._waking = Waking()
        self._report = Report(
            logger, lambda counts, seconds: line(settings.language, "received many", *counts, seconds), 1
        )
        self.connection: Connection
        self.window: Window
        self.hand_over: HandOver

    # --- from start to end ------------------------------------------------------------------------

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_by_signal)
        if not self._begin():
            return self._exit_code
        self.hand_over.start()
        backoff = Backoff()
        while not self._stopping:
            if self._still_owner() and self.connection.open() and self._serve() >= HELD_SECONDS:
                backoff.reset()
            if not self._stopping:
                self._pause(backoff.next())
        self._finish()
        return self._exit_code

    def _begin(self) -> bool:
        """Takes the bridge's name and what goes with it; False where it is told to stop before it has it."""
        settings = self.settings
        taken = take_name(self.names, settings, self._token, self._pause)
        if taken is None:
            return False
        with contextlib.suppress(RedisError, OSError):  # then it is for /readyz to say
            for warning in self.store.warnings():
                logger.warning("not safe: %s", warning)
        self.window = Window(settings.window, taken.seen)
        self.subscription.take_over(taken.topics)
        self._bridge = Bridge(settings.name, taken.client_id, self._token, window=self.window.size)
        self.hand_over = HandOver(
            self.store,
            celery_app(settings.celery_broker_url, settings.celery_sentinel_master),
            self._bridge,
            bridge_process(settings.name),
            on_durable=self._is_durable,
            on_forgotten=self._is_forgotten,
            on_lost_ownership=self._lose_name,
            on_failed=self._fail,
            loop_turns=lambda: time.monotonic() - self._last_turn < 15,
            trouble=lambda: self.subscription.trouble,
            serving_since=lambda: self._serving_since,
        )
        self.connection = Connection(
            settings, taken.client_id, on_accepted=self._on_accepted, on_subscribed=self._on_subscribed
        )
        return True

    def _still_owner(self) -> bool:
        """Asked before a reconnect: two processes with one client id would throw each other out for ever."""
        try:
            owner = self.names.owner(self.settings.name)
        except (RedisError, OSError):
            return True  # Redis will say at the next hand-over
        if owner not in ("", self._token):
            self._lose_name(str(NotOwnerError(self.settings.name)))
        return not self._stopping

    def _lose_name(self, why: str) -> None:
        self._exit_code = 3
        self._stopping = why
        logger.error("%s: stopping; a second bridge needs a BRIDGE_NAME of its own", why)
        self._waking.wake()

    def _fail(self) -> None:
        self._exit_code = 1
        self._stopping = _("an error; start it again")
        self._waking.wake()

    def _stop_by_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stopping = signal.Signals(number).name
        self._waking.wake()

    def _finish(self) -> None:
        """Hands over what is here, within a few seconds, acknowledges it, and says goodbye."""
        self.connection.leave()
        self._flush()
        self.hand_over.stop(3.0)
        self._acknowledge()
        if not self._in_flight:
            self.connection.acknowledge(self.window.open.acks)
        self.connection.say_goodbye()
        if not self.hand_over.is_alive():  # else it waits for a Redis that would keep us waiting too
            with contextlib.suppress(RedisError, OSError):
                self.names.release_claim(self._bridge)
        if not self._exit_code:
            logger.info("bridge stopped (%s)", self._stopping)

    # --- what the connection and the other thread say ---------------------------------------------

    def _on_accepted(self, code: str, session_present: bool) -> None:
        if not session_present:
            self.window.forget()
            self.hand_over.put(Forget())
        self._pace.new_connection()
        self.subscription.begin(code, session_present)

    def _on_subscribed(self, answers: dict[str, str]) -> None:
        if not self.subscription.answered(answers):
            self.connection.leave()
            return
        if self._serving_since is None:
            self._serving_since = time.time()
        if self.subscription.stale:
            # Only now: between the two, what both match would be kept for nobody.
            self.connection.client.give_up(self.subscription.stale)

    def _is_forgotten(self) -> None:
        self.subscription.forgotten()
        self._waking.wake()

    def _is_durable(self, batch: Batch) -> None:
        self._durable.append(batch)
        self._waking.wake()

    # --- one turn of the loop ---------------------------------------------------------------------

    def _serve(self) -> float:
        """Serves one connection to its end. Returns for how many seconds it was accepted."""
        while not self._stopping and self.connection.serves():
            self._turn()
        if self._stopping:  # what is handed over last is still acknowledged
            return 0.0
        self._serving_since = None
        return self.connection.close()

    def _turn(self) -> None:
        client = self.connection.client
        sock: Any = client.socket()
        reads: list[Any] = [self._waking]
        more, wait = False, self._until_next()
        # The broker's answer to CONNECT must be read, whatever is held.
        if not self.window.has_room and self.connection.accepted:
            client.leave_unread()
        elif client.has_more:
            more, wait = True, 0.0
        elif gather := self._pace.between_reads:
            more, wait = True, min(wait, gather)
        else:
            reads.append(sock)
        writes = [sock] if client.want_write() else []
        readable_, writable, _ = select.select(reads, writes, [], wait)
        self._last_turn = time.monotonic()
        if self._waking in readable_:
            self._waking.heard()
        self._acknowledge()
        if writable:
            client.loop_write()
        if more or sock in readable_:
            self._receive()
        if self.connection.accepted and not self.connection.leaving and (topics := self.subscription.due()):
            client.ask_for(topics, self.settings.status_topics)
        self._flush_when_due()
        self._report.tick()
        client.loop_misc()

    def _receive(self) -> None:
        found = self.connection.read()
        if not found:
            self._pace.nothing_came()
            return
        new, redelivered = self.window.take(found, self.connection.epoch)
        if redelivered:
            self.hand_over.put(CountRedelivered(redelivered))
        if new:
            self._pace.arrived()
            lines = (partial(_received, self.settings.language, message.payload) for message in new[:11])
            self._report.tell(lines, [len(new)])
        failpoint("bridge.received")

    def _until_next(self) -> float:
        if not self.window.open.messages or self._in_flight:
            return IDLE_SECONDS
        return self._pace.until_due(len(self.window.open.acks))

    def _flush_when_due(self) -> None:
        gathering = self.window.open
        if not gathering.messages:
            if gathering.acks and not self._in_flight:
                # Nothing but redeliveries: nothing to hand over first.
                self.connection.acknowledge(gathering.acks)
                gathering.acks = []
            return
        acks = len(gathering.acks)
        full = self._pace.is_full(len(gathering.messages), gathering.bytes, acks, self.connection.window)
        if full or (not self._in_flight and not self._pace.until_due(acks)):
            self._flush(full)

    def _flush(self, full: bool = False) -> None:
        if not self.window.open.messages:
            return
        gathering = self.window.seal()
        self._pace.flushed(len(gathering.messages), len(gathering.acks), full)
        batch = Batch(time_ordered_id(), f"mqtt:{self.settings.name}", gathering.messages)
        self._in_flight[batch.id] = gathering
        self.hand_over.put((batch, gathering.seen()))

    def _acknowledge(self) -> None:
        """On this thread, in the order of arrival."""
        while self._durable:
            batch = self._durable.popleft()
            gathering = self._in_flight.pop(batch.id)
            self.window.handed_over(gathering)
            failpoint("bridge.before_ack")
            self.connection.acknowledge(gathering.acks)
            failpoint("bridge.acked")

    def _pause(self, seconds: float) -> bool:
        """Waits; returns False where the process is to stop instead."""
        return self._waking.pause(seconds, self._goes_on)

    def _goes_on(self) -> bool:
        self._last_turn = time.monotonic()
        return not self._stopping


def _received(language: str, payload: bytes) -> str:
    return line(language, "received", readable(payload))
