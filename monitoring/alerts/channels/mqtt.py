"""Publishes at QoS 1 to a topic of the project's own broker, MQTT_URL, and waits for the PUBACK."""

import json
import secrets
import threading
from typing import Any

import paho.mqtt.client as paho
from django.conf import settings as site
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from batches.topics import covers
from bridge.address import MqttAddress
from bridge.tls import TlsFileError
from monitoring.alerts.channels.field import Field
from monitoring.alerts.channels.outcome import NotSentError
from monitoring.alerts.message import Message

SECONDS = 10.0
_UNSUPPORTED_VERSION = 0x84


def _topic(text: str) -> str:
    if "+" in text or "#" in text or text.startswith("$"):
        raise ValueError(gettext("One publishes to a topic, not to a filter: no +, no #, and no $ in front."))
    if len(text.encode()) > 65_535:
        raise ValueError(gettext("It is longer than %d characters.") % 65_535)
    if any(covers(one, text) for one in (*site.MQTT_TOPICS, *site.MQTT_STATUS_TOPICS)):
        raise ValueError(gettext("What comes on this topic is taken for a reading; choose one of its own."))
    return text


FIELDS = (
    Field("topic", _("topic"), required=True, default="iot/alerts", check=_topic),
    Field(
        "retained",
        _("retained"),
        "switch",
        default=False,
        help=_("The broker keeps the last message for whoever subscribes later."),
    ),
)


def send(settings: dict[str, Any], message: Message, key: str) -> None:
    """Raises NotSentError. It uses a client id of its own, for the bridge's would disconnect the bridge."""
    if not site.MQTT_URL:
        raise NotSentError(gettext("no broker is set: MQTT_URL"))
    address = MqttAddress.parse(site.MQTT_URL)
    body = json.dumps(message.payload, ensure_ascii=False, separators=(",", ":")).encode()
    versions = [address.version] if address.version else ["5", "3.1.1"]
    for version in versions:
        publishing = _Publishing(address, version)
        if publishing.publish(settings["topic"], body, bool(settings["retained"])):
            return
        if not publishing.is_wrong_version:
            break
    raise NotSentError(publishing.why or gettext("there was no answer in time"))


class _Publishing:
    """One connection, for one message."""

    def __init__(self, address: MqttAddress, version: str) -> None:
        self.why = ""
        self.is_wrong_version = False
        self._address = address
        self._ended = threading.Event()
        self._connected = threading.Event()
        self._done = False
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"iot-alerts-{secrets.token_hex(6)}",
            protocol=paho.MQTTv5 if version == "5" else paho.MQTTv311,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = SECONDS / 2
        if address.username is not None:
            self._client.username_pw_set(address.username, address.password)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish

    def publish(self, topic: str, body: bytes, retained: bool) -> bool:
        """Whether the broker has acknowledged it; else `why` says what went wrong."""
        try:
            if self._address.tls:
                self._client.tls_set_context(site.MQTT_TLS.context())
            self._client.connect(self._address.host, self._address.port, keepalive=30)
        except TlsFileError as error:
            self.why = str(error)
            return False
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or str(error)
            self.why = gettext("no connection to the broker: %s") % said
            return False
        self._client.loop_start()
        try:
            self._connected.wait(SECONDS / 2)
            if self._connected.is_set() and not self._ended.is_set():
                self._client.publish(topic, body, qos=1, retain=retained)
                self._ended.wait(SECONDS)
        finally:
            self._client.disconnect()
            self._client.loop_stop()
        return self._done

    def _on_connect(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self.why = gettext("the broker refuses: %s") % code
            self.is_wrong_version = code.value == _UNSUPPORTED_VERSION
            self._ended.set()
        self._connected.set()

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.DisconnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if not self._connected.is_set():
            self.is_wrong_version = True  # so do brokers that do not know the version
        self.why = self.why or gettext("the broker ended the connection")
        self._ended.set()
        self._connected.set()

    def _on_publish(
        self,
        client: paho.Client,
        userdata: object,
        mid: int,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self.why = gettext("the broker refuses: %s") % code
        else:
            self._done = True
        self._ended.set()
