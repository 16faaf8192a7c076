"""Publishes to an MQTT broker and counts its PUBACKs: no thread, one select over all connections."""

import contextlib
import secrets
import select
import ssl
import time
from collections.abc import Callable, Sequence
from socket import SHUT_RDWR
from typing import Any

import paho.mqtt.client as mqtt
from django.utils.translation import gettext
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bridge.address import MqttAddress

BOARDS_A_CLIENT = 50
WINDOW = 100
"""Messages under way on a connection: what the embedded broker takes. MQTT 5 may agree on fewer."""
CONNECT_SECONDS = 3.0
BACKOFF = (0.25, 15.0)
STEADY_SECONDS = 10.0
"""A connection that held so long makes the next wait short again."""

VERSIONS = {"5": mqtt.MQTTv5, "3.1.1": mqtt.MQTTv311}
UNSUPPORTED_VERSION = 0x84


def first_topic(topics: Sequence[str]) -> str:
    """The topic to publish on, of a list such as MQTT_TOPICS. Raises ValueError where it is a filter."""
    topic = topics[0] if topics else ""
    if not topic:
        raise ValueError(gettext("there is no topic to publish on; give one with --topic"))
    if "+" in topic or "#" in topic:
        text = gettext("%s has a wildcard: one can subscribe to it, not publish; give a --topic")
        raise ValueError(text % topic)
    if topic.startswith("$"):
        raise ValueError(gettext("%s cannot be published on; give a --topic") % topic)
    return topic


class Connection:
    """One paho client, driven by hand."""

    def __init__(self, address: MqttAddress, topic: str, qos: int, tls: ssl.SSLContext | None) -> None:
        self.address = address
        self.tls = tls
        self.topic = topic
        self.qos = qos
        self.published = 0
        self.acknowledged = 0
        self.refused = 0
        self.resent = 0
        self.window = WINDOW
        self.connected = False
        self.ever = False
        self.why = ""
        self.since = 0.0
        self.deadline = 0.0
        self.wrong_version = False
        self.version = ""
        self._client: mqtt.Client | None = None

    @property
    def outstanding(self) -> int:
        return self.published - self.acknowledged - self.refused if self.qos else 0

    @property
    def opening(self) -> bool:
        return self._client is not None and not self.connected and self._client.socket() is not None

    @property
    def room(self) -> int:
        return self.window - self.outstanding

    def open(self, version: str) -> None:
        """TCP and TLS, then CONNECT is sent; its answer comes later. `why` says what went wrong."""
        if self._client is None or (not self.ever and version != self.version):
            self._client = self._make(version)
        self.why, self.wrong_version = "", False
        try:
            if self.ever:
                self.resent += self.outstanding
                self._client.reconnect()
            elif version == "5":
                self._client.connect(self.address.host, self.address.port, keepalive=30, clean_start=True)
            else:
                self._client.connect(self.address.host, self.address.port, keepalive=30)
        except (OSError, ValueError) as error:
            self.why = str(getattr(error, "strerror", None) or error)
        self.deadline = time.monotonic() + CONNECT_SECONDS

    def _make(self, version: str) -> mqtt.Client:
        self.version = version
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"iot-simulator-{secrets.token_hex(6)}",
            protocol=MQTTProtocolVersion(VERSIONS[version]),
        )
        client.connect_timeout = CONNECT_SECONDS
        client.max_inflight_messages = (
            0  # we count ourselves; paho's way walks over all of them for each PUBACK
        )
        if self.address.username is not None:
            client.username_pw_set(self.address.username, self.address.password)
        if self.address.tls:
            client.tls_set_context(self.tls)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _on_connect(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self.why = gettext("the broker refused: %s") % code
            self.wrong_version = code.value == UNSUPPORTED_VERSION
            return
        self.connected = self.ever = True
        self.since = time.monotonic()
        self.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))

    def _on_disconnect(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.DisconnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if not self.ever and not self.why:
            self.wrong_version = True  # closed without an answer: so do brokers that do not know the version
        self.why = self.why or (
            gettext("the broker said: %s") % code if flags.is_disconnect_packet_from_server else ""
        )
        self.why = self.why or gettext("the connection was lost")
        self.connected = False

    def _on_publish(
        self, client: mqtt.Client, userdata: object, mid: int, code: ReasonCode, properties: Properties | None
    ) -> None:
        if self.qos and code.is_failure:
            self.refused += 1
        else:
            self.acknowledged += 1

    def publish(self, payload: bytes) -> bool:
        """Whether it went out, or (at QoS 1) will as soon as there is a connection again."""
        assert self._client is not None
        info = self._client.publish(self.topic, payload, qos=self.qos)
        sent = self.qos > 0 or info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS
        self.published += sent
        return sent

    def sockets(self) -> tuple[Any, bool] | None:
        """What to select on, and whether for writing too."""
        socket = self._client.socket() if self._client else None
        return (socket, self._client.want_write()) if socket is not None and self._client else None

    def has_read_ahead(self) -> bool:
        """TLS may hold packets that select does not see."""
        socket = self._client.socket() if self._client else None
        pending = getattr(socket, "pending", None)
        return pending is not None and pending() > 0

    def service(self, readable: bool, writable: bool) -> None:
        assert self._client is not None
        try:
            if readable:
                self._client.loop_read()
            if writable:
                self._client.loop_write()
            self._client.loop_misc()
        except (OSError, ValueError) as error:
            self.abandon(str(error))
        if self.opening and time.monotonic() > self.deadline:
            self.abandon(gettext("no answer to CONNECT"))

    def abandon(self, why: str) -> None:
        """Close a connection that says nothing or nonsense."""
        self.why = why
        self.wrong_version = not self.ever
        self.connected = False
        if self._client is not None and (socket := self._client.socket()) is not None:
            with contextlib.suppress(OSError):
                socket.shutdown(SHUT_RDWR)  # type: ignore[attr-defined]  # paho reads the end, and tidies up
            if not self.ever:
                self._client = None

    def close(self) -> None:
        if self._client is not None and self.connected:
            self._client.disconnect()


class Sender:
    """Connections to one broker, enough for `boards`; reconnects for ever, and says each change once.

    `tls`: for an address that is mqtts://; the system's CAs where it is not given.
    """

    def __init__(
        self,
        address: MqttAddress,
        topic: str,
        *,
        boards: int = 1,
        qos: int = 1,
        tls: ssl.SSLContext | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.address = address
        self.topic = topic
        self.qos = qos
        self.reconnections = 0
        self._say = say
        self._said = ""
        self._version = address.version or "5"
        self._connections = [
            Connection(address, topic, qos, tls) for _ in range((boards - 1) // BOARDS_A_CLIENT + 1)
        ]
        self._wait = BACKOFF[0]
        self._next_try = 0.0
        self._was_ready = False

    @property
    def ready(self) -> bool:
        return all(connection.connected for connection in self._connections)

    @property
    def published(self) -> int:
        return sum(connection.published for connection in self._connections)

    @property
    def acknowledged(self) -> int:
        return sum(connection.acknowledged for connection in self._connections)

    @property
    def refused(self) -> int:
        """PUBACKs that say no (MQTT 5)."""
        return sum(connection.refused for connection in self._connections)

    @property
    def outstanding(self) -> int:
        return sum(connection.outstanding for connection in self._connections)

    @property
    def resent(self) -> int:
        """Messages that were sent again after a reconnect (at least once): the broker may have had them."""
        return sum(connection.resent for connection in self._connections)

    @property
    def trouble(self) -> str:
        """Why there is no connection; empty where there is."""
        if self.ready:
            return ""
        return self._said or next((c.why for c in self._connections if c.why), gettext("not connected yet"))

    def has_room(self, board: int) -> bool:
        return self._of(board).room > 0

    def publish(self, board: int, payload: bytes) -> bool:
        return self._of(board).publish(payload)

    def _of(self, board: int) -> Connection:
        return self._connections[board // BOARDS_A_CLIENT]

    def work(self, seconds: float) -> None:
        """Read, write, connect: whatever there is to do; for at most so long."""
        self._notice_loss()  # a connection may also have been lost while we published
        self._connect()
        wanted: dict[Any, Connection] = {}
        writing: list[Any] = []
        for connection in self._connections:
            if (found := connection.sockets()) is not None:
                wanted[found[0]] = connection
                if found[1]:
                    writing.append(found[0])
        if any(connection.has_read_ahead() for connection in self._connections):
            seconds = 0.0
        if not self.ready:
            seconds = min(seconds, 0.1)
        if not wanted:
            time.sleep(seconds)
            return
        readable, writable, _ = select.select(list(wanted), writing, [], max(0.0, seconds))
        for socket, connection in wanted.items():
            connection.service(socket in readable or connection.has_read_ahead(), socket in writable)
        self._notice()

    def _connect(self) -> None:
        """Open what is not open: one failure makes all of them wait."""
        now = time.monotonic()
        if self.ready or now < self._next_try:
            return
        for connection in self._connections:
            if not connection.connected and not connection.opening:
                connection.open(self._version)
                if not connection.opening:
                    self._failed(connection)
                    return

    def _notice_loss(self) -> None:
        if self._was_ready and not self.ready:
            self._was_ready = False
            self.reconnections += 1

    def _notice(self) -> None:
        self._notice_loss()
        if self.ready:
            if not self._was_ready:
                self._was_ready = True
                text = gettext("connected to %(address)s (MQTT %(version)s)")
                if self._said and self.reconnections:
                    text = gettext("connected again to %(address)s (MQTT %(version)s)")
                self._say(text % {"address": self.address, "version": self._connections[0].version})
                self._said = ""
            elif self._wait > BACKOFF[0] and self._held():
                self._wait = BACKOFF[0]
            return
        lost = next((c for c in self._connections if not c.connected and not c.opening and c.why), None)
        if lost is not None and time.monotonic() >= self._next_try:
            self._failed(lost)

    def _held(self) -> bool:
        now = time.monotonic()
        return all(now - connection.since > STEADY_SECONDS for connection in self._connections)

    def _failed(self, connection: Connection) -> None:
        if connection.wrong_version and not connection.ever and self.address.version is None:
            if connection.version != self._version:
                return  # another connection found it out already
            self._version = "3.1.1" if self._version == "5" else "5"
            if self._version == "3.1.1":
                return  # at once, and without a word
        if connection.why != self._said:
            self._said = connection.why
            said = {"address": self.address, "why": connection.why}
            self._say(gettext("%(address)s: %(why)s; trying again until it answers") % said)
        self._next_try = time.monotonic() + self._wait
        self._wait = min(self._wait * 2, BACKOFF[1])

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
