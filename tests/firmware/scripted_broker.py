"""A broker for boards that does what a test tells it: acknowledges or not, in its own order, or refuses."""

import contextlib
import socket
import ssl
import threading
from typing import NamedTuple, Self

from tests.firmware.wire import PUBLISH, packets, published
from tests.journey.system import wait_for


class Connect(NamedTuple):
    client_id: str
    clean: bool
    keepalive: int
    will: tuple[str, bytes, int, bool] | None
    """topic, payload, QoS, retained"""
    user: str | None
    password: str | None


class Message(NamedTuple):
    connection: int
    topic: str
    payload: bytes
    packet_id: int
    dup: bool
    retained: bool


class ScriptedBroker:
    """`code`: what CONNACK says. `acknowledging`: whether readings are acknowledged; the status always is.

    `backwards`: it acknowledges three messages at a time, the last first. `greeting`: instead of CONNACK.
    """

    def __init__(
        self,
        code: int = 0,
        greeting: bytes | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.code, self.greeting, self.tls = code, greeting, tls
        self.acknowledging = True
        self.backwards = False
        self.connects: list[Connect] = []
        self.messages: list[Message] = []
        self.statuses: list[Message] = []
        self.pings = 0
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.break_off()

    def break_off(self) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def say(self, packet: bytes) -> None:
        """To the board that connected last."""
        self._sockets[-1].sendall(packet)

    def wait_for_messages(self, number: int) -> list[Message]:
        wait_for(lambda: len(self.messages) >= number, f"{number} messages")
        return self.messages[:number]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.tls:
                    sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                self._sockets.append(sock)
                threading.Thread(target=self._serve, args=[sock], daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        held: list[bytes] = []
        with contextlib.suppress(OSError), sock:
            for packet in packets(sock):
                kind = packet[0] & 0xF0
                if kind == 0x10:
                    self.connects.append(connect(packet))
                    sock.sendall(self.greeting or bytes([0x20, 2, 0, self.code]))
                    if self.code:
                        break
                elif kind == 0xC0:
                    self.pings += 1
                    sock.sendall(b"\xd0\0")
                elif kind == PUBLISH:
                    message, puback = self._message(packet)
                    if message.topic.startswith("iot/status"):
                        self.statuses.append(message)
                        sock.sendall(puback)
                        continue
                    self.messages.append(message)
                    if not self.acknowledging:
                        continue
                    held.append(puback)
                    if not self.backwards or len(held) == 3:
                        sock.sendall(b"".join(reversed(held)))
                        held.clear()

    def _message(self, packet: bytes) -> tuple[Message, bytes]:
        topic, payload = published(packet)
        assert packet[0] & 0x06 == 0x02, "not QoS 1"
        packet_id = packet[len(packet) - len(payload) - 2 : len(packet) - len(payload)]
        message = Message(
            len(self.connects) - 1,
            topic.decode(),
            payload,
            int.from_bytes(packet_id),
            bool(packet[0] & 8),
            bool(packet[0] & 1),
        )
        return message, b"\x40\2" + packet_id


def connect(packet: bytes) -> Connect:
    """A CONNECT of MQTT 3.1.1, whose strings come in a fixed order, each there if a flag says so."""
    start = 2 if packet[1] < 0x80 else 3
    assert packet[start : start + 7] == b"\0\4MQTT\4"
    flags = packet[start + 7]
    strings, place = [], start + 10
    while place < len(packet):
        size = int.from_bytes(packet[place : place + 2])
        strings.append(packet[place + 2 : place + 2 + size])
        place += 2 + size
    client_id = strings.pop(0).decode()
    will = (strings.pop(0).decode(), strings.pop(0), flags >> 3 & 3, bool(flags & 32)) if flags & 4 else None
    user = strings.pop(0).decode() if flags & 0x80 else None
    password = strings.pop(0).decode() if flags & 0x40 else None
    assert not strings
    keepalive = int.from_bytes(packet[start + 8 : start + 10])
    return Connect(client_id, bool(flags & 2), keepalive, will, user, password)
