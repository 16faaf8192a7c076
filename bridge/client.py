"""paho's client, with a FrameSocket underneath: the one place that touches its private parts.

paho-mqtt is pinned for it, and tests/bridge/test_client.py holds the seam: `_create_socket`,
`_packet_queue`, `_last_bytes_received`, `_ping_t`.
"""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, cast

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.address import MqttAddress
from bridge.frames import FrameSocket, Publish
from bridge.tls import HandshakeError

KEEPALIVE_SECONDS = 30
# The session expiry interval, in seconds: how long the broker keeps the session and its queue while nobody is
# connected.
SESSION_EXPIRY_SECONDS = 7 * 24 * 3600
_PUBACK = 0x40
_PUBACK_HEAD = 0x4002_0000  # its length is 2


class BridgeClient(Client):
    """A persistent session at QoS 1 with manual acknowledgement.

    `on_connected(code, session_present)` is called once the broker has accepted the connection,
    `on_refused(code)` where it has not, `on_ended(reason)` when the connection ends. `on_subscribed` gets
    for each topic filter that was asked for '' where it was granted, else why not. `tls`: for an address that
    is mqtts://.
    """

    def __init__(
        self,
        address: MqttAddress,
        client_id: str,
        version: str,
        window: int,
        tls: ssl.SSLContext | None = None,
        *,
        on_connected: Callable[[str, bool], None],
        on_refused: Callable[[str], None],
        on_ended: Callable[[str], None],
        on_subscribed: Callable[[dict[str, str]], None],
    ) -> None:
        self.version_5 = version == "5"
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if self.version_5 else False,
            protocol=MQTTv5 if self.version_5 else MQTTv311,
            manual_ack=True,
            # Else it would connect again by itself, with MQTT 3.1, from within a read.
            reconnect_on_failure=False,
        )
        self._address, self._window, self._tls = address, window, tls
        self._on_connected, self._on_refused = on_connected, on_refused
        self._on_ended, self._on_subscribed = on_ended, on_subscribed
        self._asked: dict[int, list[str]] = {}
        self._frames: FrameSocket | None = None
        self.connect_timeout = 5.0
        if address.username is not None:
            self.username_pw_set(address.username, address.password)
        self.on_connect = self._connected
        self.on_disconnect = self._ended
        self.on_subscribe = self._subscribed

    def open(self) -> None:
        """Opens the connection. Raises OSError, HandshakeError (ValueError for a host that cannot be)."""
        if not self.version_5:
            self.connect(self._address.host, self._address.port, KEEPALIVE_SECONDS)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_SECONDS
        properties.ReceiveMaximum = self._window
        self.connect(
            self._address.host,
            self._address.port,
            KEEPALIVE_SECONDS,
            clean_start=False,
            properties=properties,
        )

    def ask_for(self, topics: Iterable[str], status: Collection[str] = ()) -> None:
        """Subscribes at QoS 1; in MQTT 5 without the retained messages, which are no new readings.

        On `status`, where boards say that they are online, the retained messages alone tell which are: a new
        session asks for them, and keeps later changes in its queue. MQTT 3.1.1 sends them each time.
        """
        topics = list(topics)
        if self.version_5:
            # RetainHandling 2: send no retained messages at subscribe time; 1: to a new subscription alone.
            never, once = SubscribeOptions.RETAIN_DO_NOT_SEND, SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
            handling = ((topic, once if topic in status else never) for topic in topics)
            _, mid = self.subscribe(
                [(topic, SubscribeOptions(qos=1, retainHandling=retained)) for topic, retained in handling]
            )
        else:
            _, mid = self.subscribe([(topic, 1) for topic in topics])
        if mid is not None:
            self._asked[mid] = topics

    def give_up(self, topics: Iterable[str]) -> None:
        """Unsubscribes; idempotent, since a subscription that was not there is no error."""
        self.unsubscribe(sorted(topics))

    @property
    def error(self) -> OSError | None:
        """What broke the connection, where it was more than its end."""
        return self._frames.error if self._frames else None

    @property
    def has_more(self) -> bool:
        """Whether there is something to read that select() may not show."""
        return self._sock is not None and self._frames is not None and self._frames.has_more

    def read(self) -> list[Publish]:
        """What has come, without waiting; paho gets its part first (a CONNACK precedes all messages)."""
        sock = cast(FrameSocket | None, self.socket())
        if sock is None:
            return []
        found = sock.fill()
        # paho takes it for dead otherwise: it does not see the PUBLISH packets.
        self._last_bytes_received = time.monotonic()
        while sock.has_something_for_paho:
            if self.loop_read() != MQTT_ERR_SUCCESS or self.socket() is not cast(Any, sock):
                break
        return found

    def leave_unread(self) -> None:
        """Back-pressure: as we do not read for now, a PINGRESP that is missing says nothing of the broker."""
        self._last_bytes_received = time.monotonic()
        self._ping_t = 0.0

    def acknowledge(self, mids: Iterable[int]) -> None:
        """PUBACKs in the order given, in one write."""
        packets = [_PUBACK_HEAD | mid for mid in mids]
        if packets:
            self._packet_queue(_PUBACK, struct.pack(f">{len(packets)}I", *packets), 0, 0)

    def _create_socket(self) -> Any:
        sock = cast(socket.socket, super()._create_socket())
        if self._tls is not None:
            sock = self._shake_hands(sock, self._tls)
        self._frames = FrameSocket(sock, self.version_5)
        return self._frames

    def _shake_hands(self, sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Ours rather than paho's, so that a failure here is told from one to connect."""
        wrapped = context.wrap_socket(sock, server_hostname=self._address.host, do_handshake_on_connect=False)
        try:
            wrapped.settimeout(self.connect_timeout)
            wrapped.do_handshake()
        except OSError as error:
            wrapped.close()
            raise HandshakeError(error) from error
        return wrapped

    def _connected(self, _client: Client, _data: Any, flags: Any, code: ReasonCode, _properties: Any) -> None:
        if code.is_failure:
            self._on_refused(str(code))
        else:
            self._on_connected(str(code.value), flags.session_present)

    def _ended(self, _client: Client, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        self._on_ended(str(code))

    def _subscribed(
        self, _client: Client, _data: Any, mid: int, codes: list[ReasonCode], _properties: Any
    ) -> None:
        topics = self._asked.pop(mid, [])
        said = [str(code) if code.is_failure else "" for code in codes]
        self._on_subscribed(dict(zip(topics, said, strict=False)))
