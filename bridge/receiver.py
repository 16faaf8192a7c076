"""The bridge's loop: receive, gather, have it handed over, acknowledge."""

import contextlib
import logging
import select
import signal
import socket
import ssl
import time
from collections import deque
from types import FrameType
from typing import Any
from uuid import UUID, uuid4

from redis.exceptions import RedisError

from batches.batch import Batch, Message, time_ordered_id
from batches.dispatch import celery_app
from batches.names import Bridge, NameHeldError, Names, NotOwnerError
from batches.store import BatchStore
from bridge.client import BridgeClient
from bridge.frames import MalformedFrameError
from bridge.hand_over import CountRedelivered, Forget, HandOver
from bridge.lines import line
from bridge.owner import Owner
from bridge.settings import BridgeSettings
from bridge.subscription import Subscription
from bridge.tls import HandshakeError, TlsFileError, explain, is_alert
from bridge.window import Gathering, Window
from process.backoff import HELD_SECONDS, Backoff
from process.failpoints import failpoint
from process.heartbeat import bridge_process
from process.report import Report, readable

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.02
FLUSH_MESSAGES = 1000
FLUSH_BYTES = 256 * 1024
# Past this the socket is not read: messages at QoS 0 know no window.
HELD_MOST_BYTES = 32 * 2**20
# Brokers that speak 3.1.1 do not tell their window; the embedded one's is 100.
WINDOW_OF_3_1_1 = 100


class Receiver:
    """One bridge process. `run` returns its exit code when it was told to stop, or lost its name."""

    def __init__(self, settings: BridgeSettings) -> None:
        self.settings = settings
        self.store = BatchStore.at(settings.redis_url, settings.batches_max_bytes, settings.lease_seconds)
        self.names = Names(self.store.redis)
        self.subscription = Subscription(settings)
        self.version = settings.address.version or "5"
        self._token = str(Owner.this_process())
        self._stopping = ""
        self._exit_code = 0
        self._epoch = 0
        self._connected = False
        self._accepted_at = 0.0
        self._refused = ""
        self._leaving = False
        self._last_flush = 0.0
        self._last_turn = time.monotonic()
        self._durable: deque[Batch] = deque()
        self._in_flight: dict[UUID, Gathering] = {}
        self._wake_reader, self._wake_writer = socket.socketpair()
        for end in (self._wake_reader, self._wake_writer):
            end.setblocking(False)
        self._report = Report(
            logger, lambda counts, seconds: line(settings.language, "received many", *counts, seconds), 1
        )
        self.client: BridgeClient
        self.window: Window
        self.hand_over: HandOver

    # --- from start to end ------------------------------------------------------------------------

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_by_signal)
        if not self._take_name():
            return self._exit_code
        self.hand_over.start()
        backoff = Backoff()
        while not self._stopping:
            if self._still_owner() and self._connect() and self._serve() >= HELD_SECONDS:
                backoff.reset()
            if not self._stopping:
                self._pause(backoff.next())
        self._finish()
        return self._exit_code

    def _take_name(self) -> bool:
        """Waits for Redis, becomes the owner of the bridge's name, and learns its client id."""
        settings = self.settings
        wait, gone, waited = 0.5, "", False
        wanted = new = f"iot-monitor-{uuid4().hex[:12]}"
        while not self._stopping:
            try:
                client_id = self.names.take_over(settings.name, wanted, self._token, gone)
                window = settings.window if self.version == "5" else min(settings.window, WINDOW_OF_3_1_1)
                self.window = Window(max(window, settings.window), self.names.seen(client_id))
                ever = self.names.note_topics(settings.name, settings.topics)
                warning = self.store.durability_warning()
            except (RedisError, OSError) as error:
                logger.warning("waiting for Redis (REDIS_URL): %s", error)
                self._pause(wait)
                wait = min(wait * 2, 5)
                continue
            except NameHeldError as error:
                # Should Redis be emptied while we wait, the broker still keeps messages under this one.
                wanted = error.client_id or wanted
                holder = Owner.parse(error.holder)
                if holder.is_gone():
                    gone = error.holder
                    continue
                if not waited:
                    held = line(settings.language, "name held", settings.name, holder.pid, holder.host)
                    logger.warning(held)
                waited = True
                self._pause(1.0)
                continue
            if waited:
                logger.info(line(settings.language, "name is ours", settings.name))
            # Should Redis be lost, what waits at the broker is read under this name alone.
            session = "session new" if client_id == new else "session"
            logger.info(line(settings.language, session, client_id, settings.name))
            if warning:
                logger.warning("not durable: %s", warning)
            self.subscription.stale = ever - set(settings.topics)
            self._bridge = bridge = Bridge(settings.name, client_id, self._token, window=self.window.size)
            self.hand_over = HandOver(
                self.store,
                celery_app(settings.celery_broker_url, settings.celery_sentinel_master),
                bridge,
                bridge_process(settings.name),
                on_durable=self._is_durable,
                on_forgotten=self._is_forgotten,
                on_lost_ownership=self._lose_name,
                on_failed=self._fail,
                loop_turns=lambda: time.monotonic() - self._last_turn < 15,
                trouble=lambda: self.subscription.trouble,
            )
            self.client = self._new_client()
            return True
        return False

    def _still_owner(self) -> bool:
        """Before a reconnect: two processes with one client id would throw each other out for ever."""
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
        self._wake()

    def _fail(self) -> None:
        self._exit_code = 1
        self._stopping = "an error; start it again"
        self._wake()

    def _stop_by_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stopping = signal.Signals(number).name
        self._wake()

    def _finish(self) -> None:
        """Hands over what is here, within a few seconds, acknowledges it, and says goodbye."""
        self._flush()
        self.hand_over.stop(3.0)
        self._acknowledge()
        if not self._in_flight:
            self._send_acks(self.window.open.acks)
        self._say_goodbye()
        if not self.hand_over.is_alive():  # else it waits for a Redis that would keep us waiting too
            with contextlib.suppress(RedisError, OSError):
                self.names.release_claim(self._bridge)
        if not self._exit_code:
            logger.info("bridge stopped (%s)", self._stopping)

    def _say_goodbye(self) -> None:
        self.client.disconnect()
        deadline = time.monotonic() + 2
        while (sock := self.client.socket()) is not None and self.client.want_write():
            if time.monotonic() > deadline or not select.select([], [sock], [], 0.2)[1]:
                break
            self.client.loop_write()

    # --- the connection ---------------------------------------------------------------------------

    def _new_client(self, tls: ssl.SSLContext | None = None) -> BridgeClient:
        return BridgeClient(
            self.settings.address,
            self._bridge.client_id,
            self.version,
            self.settings.window,
            tls,
            on_connected=self._on_connected,
            on_refused=self._on_refused,
            on_ended=self._on_ended,
            on_subscribed=self._on_subscribed,
        )

    def _connect(self) -> bool:
        self._refused = ""
        self._leaving = False
        address = self.settings.address
        try:
            self.client = self._new_client(self.settings.tls.context() if address.tls else None)
            self.client.open()
        except TlsFileError as error:
            logger.error(str(error))
        except HandshakeError as error:
            self._explain_tls(error)
        except (OSError, ValueError) as error:
            logger.warning("no broker at %s (MQTT_URL): %s", address, error)
        else:
            return True
        return False

    def _on_connected(self, code: str, session_present: bool) -> None:
        self._epoch += 1
        self._connected = True
        self._accepted_at = time.monotonic()
        if not session_present:
            self.window.forget()
            self.hand_over.put(Forget())
        self.subscription.begin(code, session_present)
        logger.debug("MQTT %s, session present: %s", self.version, session_present)

    def _is_forgotten(self) -> None:
        """Called by the thread that hands over."""
        self.subscription.forgotten()
        self._wake()

    def _on_subscribed(self, answers: dict[str, str]) -> None:
        if not self.subscription.answered(answers):
            self._leaving = True
        elif self.subscription.stale:
            # Only now: between the two, what both match would be kept for nobody.
            self.client.give_up(self.subscription.stale)

    def _on_refused(self, code: str) -> None:
        self._refused = code

    def _on_ended(self, reason: str) -> None:
        if self._connected and not self._stopping and not self._leaving:
            logger.warning("connection to %s ended: %s", self.settings.address, reason)

    def _serve(self) -> float:
        """Serves one connection to its end. Returns for how many seconds it was accepted."""
        self._connected = False
        began = time.monotonic()
        while not self._stopping and self.client.socket() is not None:
            self._turn()
            silent = not self._connected and time.monotonic() - began > 10
            if silent or self._leaving:
                self.client.disconnect()
                break
        if self._stopping:  # what is handed over last is still acknowledged
            return 0.0
        if not self._connected:
            self._explain_refusal()
            return 0.0
        self._connected = False
        return time.monotonic() - self._accepted_at

    def _explain_tls(self, error: OSError) -> None:
        key, said = explain(error)
        logger.error(line(self.settings.language, key, self.settings.address, said))

    def _explain_refusal(self) -> None:
        error = self.client.error
        if error is not None and is_alert(error):
            self._explain_tls(error)
            return
        unsupported = not self._refused or "version" in self._refused.lower()
        if self.version == "5" and self.settings.address.version is None and unsupported:
            logger.info("the broker does not speak MQTT 5; trying 3.1.1")
            self.version = "3.1.1"
            return
        if self.settings.address.tls and not self._refused:
            logger.error(line(self.settings.language, "tls closed", self.settings.address))
        else:
            logger.error(
                "the broker at %s refuses the connection (MQTT_URL): %s",
                self.settings.address,
                self._refused or "it closed it without an answer",
            )
        # Where it refused 5 only because it was starting up, 5 is what to try next.
        self.version = self.settings.address.version or "5"

    # --- one turn of the loop ---------------------------------------------------------------------

    @property
    def _room(self) -> bool:
        if not self._connected:
            return True  # the broker's answer to CONNECT must be read, whatever is held
        return (
            # Over the window: a broker that respects it never waits for us to read.
            self.window.held < self.settings.window + 2 * FLUSH_MESSAGES
            and self.window.held_bytes < HELD_MOST_BYTES
        )

    def _turn(self) -> None:
        sock = self.client.socket()
        if sock is None:
            return
        reads: list[Any] = [self._wake_reader]
        more = False
        if self._room:
            reads.append(sock)
            more = self.client.has_more
        else:
            self.client.leave_unread()
        writes = [sock] if self.client.want_write() else []
        readable_, writable, _ = select.select(reads, writes, [], 0.0 if more else self._until_next())
        self._last_turn = time.monotonic()
        if self._wake_reader in readable_:
            self._drain_wake()
        self._acknowledge()
        if writable:
            self.client.loop_write()
        if more or sock in readable_:
            self._receive()
        if self._connected and not self._leaving and (topics := self.subscription.due()):
            self.client.ask_for(topics)
        self._flush_when_due()
        self._report.tick()
        self.client.loop_misc()

    def _receive(self) -> None:
        try:
            found = self.client.read()
        except MalformedFrameError as error:
            logger.error("the broker at %s does not speak MQTT: %s", self.settings.address, error)
            self.client.disconnect()
            return
        if not found:
            return
        new, redelivered = self.window.take(found, self._epoch)
        if redelivered:
            self.hand_over.put(CountRedelivered(redelivered))
        if new:
            self._report.tell((self._say(message) for message in new[:11]), [len(new)])
        failpoint("bridge.received")

    def _say(self, message: Message) -> "Say":
        return Say(self.settings.language, message)

    def _until_next(self) -> float:
        if not self.window.open.messages or self._in_flight:
            return 0.5
        return max(0.0, self._last_flush + FLUSH_SECONDS - time.monotonic())

    def _flush_when_due(self) -> None:
        gathering = self.window.open
        if not gathering.messages:
            if gathering.acks and not self._in_flight:
                # Nothing but redeliveries: nothing to hand over first.
                self._send_acks(gathering.acks)
                gathering.acks = []
            return
        full = len(gathering.messages) >= FLUSH_MESSAGES or gathering.bytes >= FLUSH_BYTES
        known_window = self.settings.window if self.version == "5" else WINDOW_OF_3_1_1
        if (
            full
            or len(gathering.acks) >= known_window
            or (not self._in_flight and time.monotonic() - self._last_flush >= FLUSH_SECONDS)
        ):
            self._flush()

    def _flush(self) -> None:
        if not self.window.open.messages:
            return
        gathering = self.window.seal()
        self._last_flush = time.monotonic()
        batch = Batch(time_ordered_id(), f"mqtt:{self.settings.name}", gathering.messages)
        self._in_flight[batch.id] = gathering
        self.hand_over.put((batch, gathering.seen()))

    def _is_durable(self, batch: Batch) -> None:
        """Called by the thread that hands over."""
        self._durable.append(batch)
        self._wake()

    def _acknowledge(self) -> None:
        """On this thread, in the order of arrival, and only what came over this connection."""
        while self._durable:
            batch = self._durable.popleft()
            gathering = self._in_flight.pop(batch.id)
            self.window.handed_over(gathering)
            failpoint("bridge.before_ack")
            self._send_acks(gathering.acks)
            failpoint("bridge.acked")

    def _send_acks(self, acks: list[tuple[int, int]]) -> None:
        if self._connected:
            self.client.acknowledge(mid for epoch, mid in acks if epoch == self._epoch)

    # --- waking and waiting -----------------------------------------------------------------------

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # then it will wake anyhow
            self._wake_writer.send(b"w")

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_reader.recv(4096):
                pass

    def _pause(self, seconds: float) -> bool:
        """Waits; returns False where the process is to stop instead."""
        deadline = time.monotonic() + seconds
        while not self._stopping and (left := deadline - time.monotonic()) > 0:
            self._last_turn = time.monotonic()
            select.select([self._wake_reader], [], [], min(left, 1.0))
            self._drain_wake()
        return not self._stopping


class Say:
    """The line of one message, made only if it is said."""

    __slots__ = ("language", "message")

    def __init__(self, language: str, message: Message) -> None:
        self.language, self.message = language, message

    def __call__(self) -> str:
        return line(self.language, "received", readable(self.message.payload))
