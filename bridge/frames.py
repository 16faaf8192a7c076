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
# At QoS 1, neither a duplicate nor retained.
_PLAIN = 0x32
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
        self._rest = b""
        self._long: _Long | None = None
        self._topics: dict[bytes, str] = {}

    def feed(self, data: bytes) -> list[Publish]:
        """The messages that are whole now, in their order. Raises MalformedFrameError."""
        found: list[Publish] = []
        if self._long is not None:
            head, data = data[: self._long.missing], data[self._long.missing :]
            self._long.take(head)
            if self._long.missing:
                return []
            found, self._long = [self._long.whole()], None
        if self._rest:
            data = self._rest + data
        start = self._plain(data, found)
        end = len(data)
        while end - start >= 2:
            decoded = remaining_length(data, start + 1)
            if decoded is None:
                break
            body = start + 1 + decoded[1]
            stop = body + decoded[0]
            is_publish = data[start] & 0xF0 == _PUBLISH
            if stop > end:
                if is_publish and decoded[0] > _LONGEST_HEAD and self._begin_long(data, start, body, stop):
                    return found
                break
            if is_publish:
                found.append(self._publish(data, start, body, stop))
            else:
                self.others += data[start:stop]
            start = self._plain(data, found, stop)
        self._rest = data[start:]
        return found

    def _plain(self, data: bytes, found: list[Publish], start: int = 0) -> int:
        """Finds messages as nearly all are: whole, at QoS 1, not sent before, not retained, on a topic that
        is known, without properties, of less than 16 KiB. Returns where the first one begins that is not.

        One loop without a call: each would cost a tenth of what a message does here.
        """
        topics, version_5, last = self._topics, self.version_5, len(data) - 4
        new, take = tuple.__new__, found.append
        while start < last and data[start] == _PLAIN:
            size = data[start + 1]
            body = start + 2
            if size >= 0x80:
                if data[body] >= 0x80:
                    break
                size += (data[body] << 7) - 0x80
                body += 1
            stop = body + size
            head = body + 2 + (data[body] << 8) + data[body + 1]  # where the topic ends
            payload = head + 3 if version_5 else head + 2
            if stop > last + 4 or payload > stop or (version_5 and data[head + 2]):
                break
            topic = topics.get(data[body + 2 : head])
            if topic is None:
                break
            mid = (data[head] << 8) + data[head + 1]
            take(new(Publish, (mid, False, False, topic, data[payload:stop], None, None)))
            start = stop
        return start

    def _publish(self, data: bytes, start: int, body: int, stop: int) -> Publish:
        first = data[start]
        mid, topic, payload = self._header(data, first, body, stop)
        content = data[payload:stop]
        publish = Publish(mid, first & 8 != 0, first & 1 != 0, topic, content[:MAX_PAYLOAD_BYTES])
        if len(content) > MAX_PAYLOAD_BYTES:
            return publish._replace(length=len(content), digest=hashlib.sha256(content).digest())
        return publish

    def _header(self, data: bytes, first: int, body: int, stop: int) -> tuple[int, str, int]:
        """Packet id, topic, and where the payload begins."""
        qos = first & 6
        if qos > 2 or body + 2 > stop:
            raise MalformedFrameError("a PUBLISH at a QoS that was not asked for, or without a topic")
        topic_end = body + 2 + (data[body] << 8 | data[body + 1])
        place = topic_end
        mid = 0
        if qos:
            place += 2
            if place > stop:
                raise MalformedFrameError("a PUBLISH shorter than its header")
            mid = data[topic_end] << 8 | data[topic_end + 1]
        if self.version_5:
            properties = remaining_length(data, place)
            if properties is None:
                raise MalformedFrameError("a PUBLISH without the length of its properties")
            place += properties[0] + properties[1]
        if place > stop:
            raise MalformedFrameError("a PUBLISH shorter than its header")
        raw = data[body + 2 : topic_end]
        topic = self._topics.get(raw)
        if topic is None:
            topic = raw.decode(errors="replace").replace("\0", "\ufffd")
            if len(raw) <= _TOPIC_KEPT_BYTES:
                if len(self._topics) >= _TOPICS_KEPT:
                    self._topics.clear()
                self._topics[raw] = topic
        return mid, topic, place

    def _begin_long(self, data: bytes, start: int, body: int, stop: int) -> bool:
        """Turns to taking a long frame piece by piece, once its topic and packet id are there."""
        if len(data) - body < _LONGEST_HEAD:
            return False
        first = data[start]
        mid, topic, payload = self._header(data, first, body, stop)
        skip = max(0, payload - len(data))
        self._long = _Long(mid, bool(first & 8), bool(first & 1), topic, stop - payload, skip)
        self._long.take(data[payload:])
        self._rest = b""
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
