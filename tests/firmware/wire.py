"""The line between a board and its broker, which a test can hold, cut, and make lose acknowledgements."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Self

PUBLISH, PUBACK = 0x30, 0x40


class Wire:
    """Listens on `port` and passes whole MQTT packets on to the broker and back.

    `published`: the payloads that have gone on to the broker under `topic`. `swallowed`: how many
    acknowledgements were taken from its answers while `swallowing` was set.
    """

    def __init__(self, broker_port: int, topic: str = "iot/measurements") -> None:
        self.broker_port = broker_port
        self.topic = topic.encode()
        self.published: list[bytes] = []
        self.swallowed = 0
        self.connections = 0
        self.swallowing = threading.Event()
        self._open = True
        self._changed = threading.Condition()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hold()
        self.cut()

    def hold(self) -> None:
        """From its return on nothing more reaches the broker, and no new connection either."""
        with self._changed:
            self._open = False

    def cut(self) -> None:
        """Ends every connection, and what was held with it."""
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.swallowing.clear()
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                board, _ = self._listener.accept()
                try:
                    if not self._open:
                        raise ConnectionRefusedError
                    broker = socket.create_connection(("127.0.0.1", self.broker_port))
                except OSError:
                    board.close()
                    continue
                self.connections += 1
                self._sockets |= {board, broker}
                for pump in (self._to_broker, self._to_board):
                    threading.Thread(target=pump, args=[board, broker], daemon=True).start()

    def _to_broker(self, board: socket.socket, broker: socket.socket) -> None:
        with self._ending_together(board, broker):
            for packet in packets(board):
                with self._changed:
                    self._changed.wait_for(lambda: self._open)
                    broker.sendall(packet)
                    topic, payload = published(packet)
                    if topic == self.topic:
                        self.published.append(payload)

    def _to_board(self, board: socket.socket, broker: socket.socket) -> None:
        with self._ending_together(board, broker):
            for packet in packets(broker):
                if packet[0] & 0xF0 == PUBACK and self.swallowing.is_set():
                    self.swallowed += 1
                else:
                    board.sendall(packet)

    @contextlib.contextmanager
    def _ending_together(self, *ends: socket.socket) -> Iterator[None]:
        with contextlib.suppress(OSError):
            yield
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            self._sockets.discard(end)


def published(packet: bytes) -> tuple[bytes, bytes]:
    """(topic, payload) of a PUBLISH at QoS 1; empty for other packets."""
    if packet[0] & 0xF0 != PUBLISH:
        return b"", b""
    place = 2 if packet[1] < 0x80 else 3
    size = int.from_bytes(packet[place : place + 2])
    return packet[place + 2 : place + 2 + size], packet[place + 4 + size :]


def packets(sock: socket.socket) -> Iterator[bytes]:
    """Whole MQTT packets of less than 16 KiB."""
    stream = sock.makefile("rb")
    while head := stream.read(2):
        size = head[1]
        if size & 0x80:
            head += stream.read(1)
            size = size & 0x7F | head[2] << 7
        yield head + stream.read(size)
