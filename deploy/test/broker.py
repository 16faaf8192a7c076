"""What the broker lets each user do, tried with one client for each."""

import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from deploy.test.transcript import Failure

SECONDS = 20


class RefusedError(Failure):
    """The broker does not let this user in."""


class User:
    """Connected as one user, with MQTT 5, whose answers say whether a publication was taken."""

    def __init__(
        self, port: int, name: str | None = None, password: str | None = None, ca: Path | None = None
    ) -> None:
        self.received: list[str] = []
        self._changed = threading.Condition()
        self._connected: ReasonCode | None = None
        self._answers: dict[int, ReasonCode] = {}
        self.client = Client(CallbackAPIVersion.VERSION2, "", protocol=MQTTProtocolVersion.MQTTv5)
        if name is not None:
            self.client.username_pw_set(name, password)
        if ca is not None:
            self.client.tls_set(str(ca), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message
        self.client.on_publish = self._on_answer
        self.client.on_subscribe = lambda c, u, mid, codes, p: self._on_answer(c, u, mid, codes[0], p)
        self.client.connect("127.0.0.1" if ca is None else "localhost", port)
        self.client.loop_start()
        connected = self._wait(lambda: self._connected)
        if connected.is_failure:
            self.__exit__(None, None, None)
            raise RefusedError(f"{name or 'nobody'}: {connected}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def publish(self, topic: str, payload: str) -> bool:
        """Whether the broker took it."""
        info = self.client.publish(topic, payload, qos=1)
        return not self._wait(lambda: self._answers.get(info.mid)).is_failure

    def subscribe(self, topic: str) -> None:
        """Returns once the broker has answered, and so once all it had sent before has come."""
        _, mid = self.client.subscribe(topic, qos=1)
        assert mid is not None
        self._wait(lambda: self._answers.get(mid))

    def wait_for(self, payload: str) -> list[str]:
        """All payloads that had come once this one has."""
        self._wait(lambda: payload in self.received or None)
        return list(self.received)

    def _wait(self, condition: Any) -> Any:
        with self._changed:
            if not self._changed.wait_for(lambda: condition() is not None, SECONDS):
                raise Failure(f"the broker did not answer within {SECONDS} s")
            return condition()

    def _note(self, note: Any) -> None:
        with self._changed:
            note()
            self._changed.notify_all()

    def _on_connect(self, client: Client, _: Any, flags: Any, code: ReasonCode, properties: Any) -> None:
        def note() -> None:
            self._connected = code

        self._note(note)

    def _on_message(self, client: Client, _: Any, message: MQTTMessage) -> None:
        self._note(lambda: self.received.append(message.payload.decode()))

    def _on_answer(self, client: Client, _: Any, mid: int, code: ReasonCode, properties: Any) -> None:
        self._note(lambda: self._answers.__setitem__(mid, code))


def lets_in(port: int, name: str | None = None, password: str | None = None) -> str | None:
    """None; or how the broker refuses."""
    try:
        with User(port, name, password):
            return None
    except RefusedError as error:
        return str(error)
