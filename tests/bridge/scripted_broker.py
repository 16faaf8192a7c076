"""A broker that does what a test tells it: what real brokers seldom do, in just enough MQTT 3.1.1 and 5.

It answers CONNECT, SUBSCRIBE and PINGREQ by itself; what is published, under which packet id, with DUP or
not, and when a connection breaks, the test says. PUBACKs are kept in the order in which they came.
"""

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

DEADLINE_SECONDS = 45.0


def until(condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Waits for a condition; fails the test where it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.005)


def variable_length(number: int) -> bytes:
    out = bytearray()
    while True:
        number, byte = number >> 7, number & 0x7F
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def publish_frame(
    payload: bytes,
    mid: int = 0,
    *,
    topic: str = "iot/measurements",
    dup: bool = False,
    retain: bool = False,
    properties: bytes | None = None,
) -> bytes:
    """A PUBLISH; at QoS 1 where it has a packet id. `properties`: None in MQTT 3.1.1."""
    name = topic.encode()
    body = struct.pack(">H", len(name)) + name
    if mid:
        body += struct.pack(">H", mid)
    if properties is not None:
        body += variable_length(len(properties)) + properties
    body += payload
    first = 0x30 | (8 if dup else 0) | (2 if mid else 0) | (1 if retain else 0)
    return bytes([first]) + variable_length(len(body)) + body


def topic_filters(body: bytes, options: int = 1) -> list[str]:
    """Those of a SUBSCRIBE, after its packet id and properties; an UNSUBSCRIBE has no byte of options."""
    filters = []
    while body:
        size = int.from_bytes(body[:2])
        filters.append(body[2 : 2 + size].decode())
        body = body[2 + size + options :]
    return filters


class Connection:
    """One client's connection.

    `acked`: packet ids in the order of their PUBACKs. `asked`, `given_up`: topic filters.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.version = 0
        self.client_id = ""
        self.clean = True
        self.username: str | None = None
        self.password: str | None = None
        self.properties = b""
        self.topics = b""
        self.asked: list[list[str]] = []
        self.given_up: list[str] = []
        self.acked: list[int] = []
        self.pings = 0
        self.subscribed = threading.Event()
        self.said_goodbye = False
        self.ended = threading.Event()
        self._writing = threading.Lock()

    def send(self, data: bytes) -> None:
        with self._writing:
            self.sock.sendall(data)

    def publish(
        self, payload: bytes, mid: int = 0, *, topic: str = "iot/measurements", dup: bool = False
    ) -> None:
        self.send(self.frame(payload, mid, topic=topic, dup=dup))

    def frame(
        self, payload: bytes, mid: int = 0, *, topic: str = "iot/measurements", dup: bool = False
    ) -> bytes:
        return publish_frame(
            payload, mid, topic=topic, dup=dup, properties=b"" if self.version == 5 else None
        )

    def wait_for_acks(self, *mids: int) -> None:
        """Until exactly these have been acknowledged, in this order."""
        until(lambda: len(self.acked) >= len(mids), f"PUBACKs {mids}, have {self.acked}")
        assert self.acked == list(mids)

    def break_off(self) -> None:
        """Ends the connection without a word."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.ended.wait(DEADLINE_SECONDS)


class ScriptedBroker:
    """`session_present`: what CONNACK says, by connection (the last value stays).

    `refuse_topics`: filters that SUBACK refuses, "not authorised".
    `refuse`: the reason code for a CONNECT, by its protocol level (4 or 5); `short_refusals`: without the
    properties of MQTT 5, as a broker says it that does not know that version; `silent`: no CONNACK at all.
    """

    def __init__(
        self,
        *,
        session_present: tuple[bool, ...] = (False, True),
        refuse: dict[int, int] | None = None,
        short_refusals: bool = False,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.tls = tls
        self.session_present = session_present
        self.refuse = refuse or {}
        self.short_refusals = short_refusals
        self.silent = False
        self.refuse_topics: set[str] = set()
        self.attempts: list[Connection] = []
        self.accepted: list[Connection] = []
        self.on_subscribed: Callable[[Connection], None] = lambda connection: None
        self.on_acked: Callable[[int], None] = lambda mid: None
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept, which keeps the port otherwise
        self._listener.close()
        for connection in list(self.attempts):
            connection.break_off()

    def connection(self, number: int = 0, seconds: float = DEADLINE_SECONDS) -> Connection:
        """The client's n-th connection that was accepted, once it has subscribed."""
        until(
            lambda: len(self.accepted) > number and self.accepted[number].subscribed.is_set(),
            f"connection {number}, have {len(self.accepted)} of {len(self.attempts)}",
            seconds,
        )
        return self.accepted[number]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.tls:
                    sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                connection = Connection(sock)
                self.attempts.append(connection)
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        with contextlib.suppress(OSError), connection.sock:
            for first, body in self._packets(connection.sock):
                if not self._handle(connection, first, body):
                    break
        connection.ended.set()

    @staticmethod
    def _packets(sock: socket.socket) -> Iterator[tuple[int, bytes]]:
        stream = sock.makefile("rb")
        while first := stream.read(1):
            size = shift = 0
            while True:
                byte = stream.read(1)[0]
                size |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            yield first[0], stream.read(size)

    def _handle(self, connection: Connection, first: int, body: bytes) -> bool:
        kind = first & 0xF0
        if kind == 0x10:
            return self._connect(connection, body)
        if kind == 0x40:
            connection.acked.append(int.from_bytes(body[:2]))
            self.on_acked(connection.acked[-1])
        elif kind == 0x80:
            connection.topics = body[2:]
            properties = b"\0" if connection.version == 5 else b""
            refusal = 0x87 if connection.version == 5 else 0x80
            codes = bytes(
                refusal if topic in self.refuse_topics else 1
                for topic in topic_filters(body[2 + len(properties) :])
            )
            connection.asked.append(topic_filters(body[2 + len(properties) :]))
            size = 2 + len(properties) + len(codes)
            connection.send(bytes([0x90, size]) + body[:2] + properties + codes)
            connection.subscribed.set()
            self.on_subscribed(connection)
        elif kind == 0xA0:
            properties = b"\0" if connection.version == 5 else b""
            topics = topic_filters(body[2 + len(properties) :], options=0)
            codes = bytes(len(topics)) if connection.version == 5 else b""
            size = 2 + len(properties) + len(codes)
            connection.send(bytes([0xB0, size]) + body[:2] + properties + codes)
            connection.given_up += topics
        elif kind == 0xC0:
            connection.pings += 1
            connection.send(b"\xd0\0")
        elif kind == 0xE0:
            connection.said_goodbye = True
            return False
        return True

    def _connect(self, connection: Connection, body: bytes) -> bool:
        connection.version, flags = body[6], body[7]
        connection.clean = bool(flags & 2)
        place = 10
        if connection.version == 5:
            assert body[place] < 0x80
            connection.properties = body[place + 1 : place + 1 + body[place]]
            place += 1 + body[place]
        strings = []
        while place < len(body):
            size = int.from_bytes(body[place : place + 2])
            strings.append(body[place + 2 : place + 2 + size].decode())
            place += 2 + size
        connection.client_id = strings[0]
        connection.username = strings[1] if flags & 0x80 else None
        connection.password = strings[-1] if flags & 0x40 else None
        if self.silent:
            return True
        five = connection.version == 5
        if code := self.refuse.get(connection.version, 0):
            long = five and not self.short_refusals
            connection.send(b"\x20\x03\0" + bytes([code]) + b"\0" if long else b"\x20\x02\0" + bytes([code]))
            return False
        present = self.session_present[min(len(self.accepted), len(self.session_present) - 1)]
        self.accepted.append(connection)
        connection.send(
            (b"\x20\x03" if five else b"\x20\x02") + bytes([present, 0]) + (b"\0" if five else b"")
        )
        return True


class PersistentBroker(ScriptedBroker):
    """Keeps one session: what is published is sent until it is acknowledged, later with DUP.

    As a real broker does: the same packet ids, in the same order, on every connection.
    """

    def __init__(self, *, port: int = 0) -> None:
        super().__init__(port=port)
        self.unacknowledged: dict[int, bytes] = {}
        self._sent: set[int] = set()
        self._lock = threading.RLock()
        self._live: Connection | None = None
        self._next_mid = 1
        self.on_subscribed = self._resume
        self.on_acked = self._forget

    def queue(self, payload: bytes) -> None:
        with self._lock:
            mid, self._next_mid = self._next_mid, self._next_mid + 1
            self.unacknowledged[mid] = payload
            if self._live is not None:
                self._send(self._live, mid, payload)

    def _send(self, connection: Connection, mid: int, payload: bytes) -> None:
        dup = mid in self._sent
        self._sent.add(mid)
        with contextlib.suppress(OSError):
            connection.publish(payload, mid, dup=dup)

    def _resume(self, connection: Connection) -> None:
        with self._lock:
            for mid, payload in self.unacknowledged.items():
                self._send(connection, mid, payload)
            self._live = connection

    def _forget(self, mid: int) -> None:
        with self._lock:
            self.unacknowledged.pop(mid, None)
