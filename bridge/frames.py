"""PUBLISH frames, taken from the socket's buffer whole; everything else is left to paho.

paho reads a packet with three or more calls of recv and hands it through its callbacks: 30 us of CPU
a message. Taking every whole PUBLISH out of one large read costs 7. A FrameSocket stands between
paho and the real socket: `fill` reads and keeps the PUBLISH frames, `recv` gives paho the rest.
"""

import hashlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

from batches.batch import MAX_PAYLOAD_BYTES

T = TypeVar("T")

_READ_BYTES = 256 * 1024
# A record of TLS at its longest. A read that has room for one leaves nothing of it decrypted inside OpenSSL,
# where select() would not see it.
_RECORD_BYTES = 16 * 1024
_PUBLISH = 0x30
# Their decoding is kept: a few known topics make nearly all messages. Bounded, for anybody may choose them.
_TOPICS_KEPT = 10_000
_TOPIC_KEPT_BYTES = 200
# Topic and packet id at their longest, and the length of the properties. Of a frame that is longer, what
# comes after this is hashed and dropped as it comes, not kept until the frame is whole.
_LONGEST_HEAD = 2 + 65_535 + 2 + 4


class Publish(NamedTuple):
    """A PUBLISH at QoS 0 or 1. `payload` is cut at 16 KiB; then `length` and `digest` (SHA-256) are set."""

    mid: int
    """The packet id; 0 at QoS 0."""
    dup: bool
    retained: bool
    topic: str
    payload: bytes
    length: int | None = None
    digest: bytes | None = None


class MalformedFrameError(Exception):
    """What came is not MQTT: the connection must end."""


def remaining_length(buffer: bytes | bytearray, start: int) -> tuple[int, int] | None:
    """The variable byte integer at `start`: (value, bytes it takes), None where it is not whole yet."""
    value = 0
    for place in range(4):
        if start + place >= len(buffer):
            return None
        byte = buffer[start + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, place + 1
    raise MalformedFrameError("a length of more than four bytes")


@dataclass
class _Long:
    """A long PUBLISH on its way: where its payload begins is known, its end is not there yet."""

    mid: int
    dup: bool
    retained: bool
    topic: str
    length: int
    skip: int
    """Bytes of properties that are still to come, before the payload."""
    missing: int = 0
    kept: bytearray = field(default_factory=bytearray)
    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        self.missing = self.skip + self.length

    def take(self, data: bytes | bytearray) -> None:
        self.missing -= len(data)
        if self.skip:
            skipped = min(self.skip, len(data))
            self.skip -= skipped
            data = data[skipped:]
        self.sha256.update(data)
        if len(self.kept) < MAX_PAYLOAD_BYTES:
            self.kept += data[: MAX_PAYLOAD_BYTES - len(self.kept)]

    def whole(self) -> Publish:
        publish = Publish(self.mid, self.dup, self.retained, self.topic, bytes(self.kept))
        if self.length > MAX_PAYLOAD_BYTES:
            return publish._replace(length=self.length, digest=self.sha256.digest())
        return publish


class Frames:
    """Cuts a stream of bytes into PUBLISH messages and the bytes of all other packets."""

    def __init__(self, version_5: bool) -> None:
        self.version_5 = version_5
        self.others = bytearray()
        self._buffer = bytearray()
        self._long: _Long | None = None
        self._topics: dict[bytes, str] = {}

    def feed(self, data: bytes) -> list[Publish]:
        """The messages that are whole now, in their order. Raises MalformedFrameError."""
        if self._long is not None:
            head, data = data[: self._long.missing], data[self._long.missing :]
            self._long.take(head)
            if self._long.missing:
                return []
            found, self._long = [self._long.whole()], None
        else:
            found = []
        self._buffer += data
        buffer = self._buffer
        end = len(buffer)
        start = 0
        while end - start >= 2:
            first = buffer[start]
            size = buffer[start + 1]
            if size < 0x80:
                body = start + 2
            else:
                decoded = remaining_length(buffer, start + 1)
                if decoded is None:
                    break
                size, taken = decoded
                body = start + 1 + taken
            stop = body + size
            is_publish = first & 0xF0 == _PUBLISH
            if stop > end:
                if is_publish and size > _LONGEST_HEAD and self._begin_long(first, body, stop):
                    return found
                break
            if is_publish:
                mid, topic, payload = self._header(first, body, stop)
                content = bytes(buffer[payload:stop])
                if len(content) > MAX_PAYLOAD_BYTES:
                    found.append(
                        Publish(
                            mid,
                            bool(first & 8),
                            bool(first & 1),
                            topic,
                            content[:MAX_PAYLOAD_BYTES],
                            len(content),
                            hashlib.sha256(content).digest(),
                        )
                    )
                else:
                    found.append(Publish(mid, first & 8 != 0, first & 1 != 0, topic, content))
            else:
                self.others += buffer[start:stop]
            start = stop
        del buffer[:start]
        return found

    def _header(self, first: int, body: int, stop: int) -> tuple[int, str, int]:
        """Packet id, topic, and where the payload begins."""
        buffer = self._buffer
        qos = first & 6
        if qos > 2 or body + 2 > stop:
            raise MalformedFrameError("a PUBLISH at a QoS that was not asked for, or without a topic")
        topic_end = body + 2 + (buffer[body] << 8 | buffer[body + 1])
        place = topic_end
        mid = 0
        if qos:
            place += 2
            if place > stop:
                raise MalformedFrameError("a PUBLISH shorter than its header")
            mid = buffer[topic_end] << 8 | buffer[topic_end + 1]
        if self.version_5:
            properties = remaining_length(buffer, place)
            if properties is None:
                raise MalformedFrameError("a PUBLISH without the length of its properties")
            place += properties[0] + properties[1]
        if place > stop:
            raise MalformedFrameError("a PUBLISH shorter than its header")
        raw = bytes(buffer[body + 2 : topic_end])
        topic = self._topics.get(raw)
        if topic is None:
            topic = raw.decode(errors="replace").replace("\0", "\ufffd")
            if len(raw) <= _TOPIC_KEPT_BYTES:
                if len(self._topics) >= _TOPICS_KEPT:
                    self._topics.clear()
                self._topics[raw] = topic
        return mid, topic, place

    def _begin_long(self, first: int, body: int, stop: int) -> bool:
        """Turns to taking a long frame piece by piece, once its topic and packet id are there."""
        buffer = self._buffer
        if len(buffer) - body < _LONGEST_HEAD:
            return False
        mid, topic, payload = self._header(first, body, stop)
        skip = max(0, payload - len(buffer))
        self._long = _Long(mid, bool(first & 8), bool(first & 1), topic, stop - payload, skip)
        self._long.take(buffer[payload:])
        buffer.clear()
        return True


class FrameSocket:
    """What paho takes for its socket."""

    def __init__(self, sock: socket.socket, version_5: bool) -> None:
        self._sock = sock
        self._frames = Frames(version_5)
        self._ended: OSError | bool = False
        self.error: OSError | None = None
        """What broke the connection, where it was more than its end."""
        self.has_more = False
        """Whether `fill` stopped at its bound: what is left may be where select() does not see it."""
        room = _READ_BYTES + _RECORD_BYTES if isinstance(sock, ssl.SSLSocket) else 0
        self._records = memoryview(bytearray(room))

    def fill(self) -> list[Publish]:
        """Reads what is there, up to a bound; the PUBLISH messages in it. Its end shows in recv."""
        data = self._read_records() if isinstance(self._sock, ssl.SSLSocket) else self._read(_READ_BYTES)
        return self._frames.feed(data) if data else []

    def _read(self, size: int) -> bytes:
        return self._unless_it_ends(partial(self._sock.recv, size)) or b""

    def _read_records(self) -> bytes:
        """One read gives one record, and a broker may put each message into a record of its own.

        Mosquitto does: with one record for each turn of the loop, a message cost twice the CPU.
        """
        taken = 0
        while taken < _READ_BYTES:
            got = self._unless_it_ends(partial(self._sock.recv_into, self._records[taken:]))
            if not got:
                break
            taken += got
        self.has_more = taken >= _READ_BYTES
        return bytes(self._records[:taken])

    def _unless_it_ends(self, read: Callable[[], T]) -> T | None:
        """What was read; None where there is nothing now, or nothing any more."""
        try:
            got = read()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except OSError as error:
            self._ended = self.error = error
            return None
        if not got:
            self._ended = True
        return got

    @property
    def has_something_for_paho(self) -> bool:
        return bool(self._frames.others) or self._ended is not False

    def recv(self, size: int) -> bytes:
        others = self._frames.others
        if others:
            data = bytes(others[:size])
            del others[:size]
            return data
        if self._ended is True:
            return b""
        if isinstance(self._ended, OSError):
            raise self._ended
        raise BlockingIOError

    def send(self, data: bytes) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            # The other side may have said why before it closed: what it said is still there to be read.
            self._read(1)
            self.error = self.error or error
            raise

    def close(self) -> None:
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        self._sock.setblocking(flag)
