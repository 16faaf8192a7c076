"""paho's client, with a FrameSocket underneath: the one place that touches its private parts.

paho-mqtt is pinned for it, and tests/bridge/test_client.py holds the seam: `_create_socket`,
`_packet_queue`, `_last_bytes_received`, `_ping_t`.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any, cast

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.address import MqttAddress
from bridge.frames import FrameSocket, Publish

KEEPALIVE_SECONDS = 30
# How long the broker keeps the session, and what it queues for it, while nobody is there.
SESSION_EXPIRY_SECONDS = 7 * 24 * 3600
_PUBACK = 0x40


class BridgeClient(Client):
    """A persistent session at QoS 1 whose acknowledgements are sent when we say so.

    `on_connected(code, session_present)` comes once the broker has accepted the connection,
    `on_refused(code)` where it has not, `on_ended(reason)` when it ends.
    """

    def __init__(
        self,
        address: MqttAddress,
        client_id: str,
        version: str,
        window: int,
        *,
        on_connected: Callable[[str, bool], None],
        on_refused: Callable[[str], None],
        on_ended: Callable[[str], None],
        on_subscription_refused: Callable[[str], None],
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
        self._address, self._window = address, window
        self._on_connected, self._on_refused = on_connected, on_refused
        self._on_ended, self._on_subscription_refused = on_ended, on_subscription_refused
        self.connect_timeout = 5.0
        if address.username is not None:
            self.username_pw_set(address.username, address.password)
        if address.tls:
            self.tls_set()
        self.on_connect = self._connected
        self.on_disconnect = self._ended
        self.on_subscribe = self._subscribed

    def open(self) -> None:
        """Opens the connection. Raises OSError (ValueError for a host that cannot be)."""
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

    def ask_for(self, topics: Iterable[str]) -> None:
        """Subscribes at QoS 1; in MQTT 5 without the retained messages, which are no new readings."""
        if self.version_5:
            # RetainHandling 2: do not send retained messages at subscribe time.
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            self.subscribe([(topic, options) for topic in topics])
        else:
            self.subscribe([(topic, 1) for topic in topics])

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
        """We do not read for now: that nothing comes, not even a PINGRESP, says nothing of the broker."""
        self._last_bytes_received = time.monotonic()
        self._ping_t = 0.0

    def acknowledge(self, mids: Iterable[int]) -> None:
        """PUBACKs in the order given, in one write."""
        joined = b"".join(b"\x40\x02" + mid.to_bytes(2) for mid in mids)
        if joined:
            self._packet_queue(_PUBACK, joined, 0, 0)

    def _create_socket(self) -> Any:
        return FrameSocket(cast(Any, super()._create_socket()), self.version_5)

    def _connected(self, _client: Client, _data: Any, flags: Any, code: ReasonCode, _properties: Any) -> None:
        if code.is_failure:
            self._on_refused(str(code))
        else:
            self._on_connected(str(code.value), flags.session_present)

    def _ended(self, _client: Client, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        self._on_ended(str(code))

    def _subscribed(
        self, _client: Client, _data: Any, _mid: int, codes: list[ReasonCode], _properties: Any
    ) -> None:
        for code in codes:
            if code.is_failure:
                self._on_subscription_refused(str(code))
