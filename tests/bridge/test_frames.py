"""PUBLISH frames come whole out of a stream that was cut anywhere; everything else stays as it was."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_broker import publish_frame, variable_length

from batches.batch import MAX_PAYLOAD_BYTES
from bridge.frames import Frames, MalformedFrameError, Publish
from tests.examples import examples

# Content type, user properties, subscription identifier: what brokers pass on.
PROPERTIES = [b"", b"\x03\0\x04text", b"\x26\0\x01a\0\x01b" * 40, b"\x0b\x07"]


@st.composite
def packets(draw: st.DrawFn, version_5: bool) -> tuple[bytes, Publish | None]:
    if draw(st.integers(0, 4)) == 0:  # CONNACK, SUBACK, PINGRESP, a long one
        first = draw(st.sampled_from([0x20, 0x90, 0xD0, 0xE0]))
        body = draw(st.binary(max_size=20)) * draw(st.sampled_from([1, 1, 30]))
        return bytes([first]) + variable_length(len(body)) + body, None
    size = draw(
        st.one_of(st.integers(0, 300), st.sampled_from([16_383, 16_384, 16_385, 65_535, 65_536, 70_000]))
    )
    payload = (draw(st.binary(min_size=1, max_size=9)) * size)[:size]
    mid = draw(st.integers(0, 65_535))
    dup, retain = draw(st.booleans()) and mid > 0, draw(st.booleans())
    topic = draw(st.sampled_from(["iot/measurements", "a", "salon/température", "t" * 1000, "t" * 65_535]))
    properties = draw(st.sampled_from(PROPERTIES)) if version_5 else None
    frame = publish_frame(payload, mid, topic=topic, dup=dup, retain=retain, properties=properties)
    if size > MAX_PAYLOAD_BYTES:
        cut = payload[:MAX_PAYLOAD_BYTES]
        return frame, Publish(mid, dup, retain, topic, cut, size, sha256(payload).digest())
    return frame, Publish(mid, dup, retain, topic, payload)


@settings(deadline=None, max_examples=examples(150))
@given(data=st.data(), version_5=st.booleans())
def test_it_finds_the_same_however_the_stream_is_cut(data: st.DataObject, version_5: bool) -> None:
    sent = data.draw(st.lists(packets(version_5), max_size=6))
    stream = b"".join(frame for frame, _ in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    frames = Frames(version_5)
    found = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += frames.feed(stream[start:stop])
    assert found == [publish for _, publish in sent if publish]
    assert bytes(frames.others) == b"".join(frame for frame, publish in sent if not publish)


@given(version_5=st.booleans())
def test_it_finds_the_same_byte_by_byte(version_5: bool) -> None:
    properties = PROPERTIES[2] if version_5 else None
    stream = b"\xd0\0" + publish_frame(b"x" * 300, 513, properties=properties) + b"\x20\x02\0\0"
    frames = Frames(version_5)
    found = [publish for byte in stream for publish in frames.feed(bytes([byte]))]
    assert [(one.mid, one.payload) for one in found] == [(513, b"x" * 300)]
    assert frames.others == b"\xd0\0\x20\x02\0\0"


@pytest.mark.parametrize("piece", [1000, 65_536, 262_144])
@pytest.mark.parametrize("size", [300_000, 5_000_000])
def test_a_long_payload_is_not_kept_whole(size: int, piece: int) -> None:
    payload = bytes(range(250)) * (size // 250)
    stream = publish_frame(payload, 1, properties=b"") + publish_frame(b"after", 2, properties=b"")
    frames = Frames(version_5=True)
    found = []
    for start in range(0, len(stream), piece):
        found += frames.feed(stream[start : start + piece])
        held = len(frames._rest) + (len(frames._long.kept) if frames._long else 0)
        assert held <= 128 * 1024 + piece
    long, after = found
    assert long == Publish(
        1, False, False, "iot/measurements", payload[:16384], len(payload), sha256(payload).digest()
    )
    assert after.payload == b"after"


def test_long_properties_are_not_kept() -> None:
    properties = b"\x26\xff\xff" + b"k" * 65_535 + b"\xff\xff" + b"v" * 65_535
    stream = publish_frame(b"payload", 1, properties=properties * 40) + publish_frame(b"2", 2, properties=b"")
    frames = Frames(version_5=True)
    found = []
    for start in range(0, len(stream), 60_000):
        found += frames.feed(stream[start : start + 60_000])
        assert len(frames._rest) <= 256 * 1024
    assert [(one.mid, one.payload) for one in found] == [(1, b"payload"), (2, b"2")]
    assert found[0].length is None


@pytest.mark.parametrize("version_5", [False, True])
@pytest.mark.parametrize("come", range(65_532, 65_546))
def test_the_longest_topic_may_be_cut_anywhere(come: int, version_5: bool) -> None:
    stream = publish_frame(b"x" * 500, 1, topic="t" * 65_535, properties=b"" if version_5 else None)
    frames = Frames(version_5)
    [publish] = frames.feed(stream[:come]) + frames.feed(stream[come:])
    assert (publish.topic, publish.payload) == ("t" * 65_535, b"x" * 500)


def test_properties_are_no_part_of_the_payload() -> None:
    """Also of a message that is plain otherwise, on a topic that is known."""
    stream = b"".join(
        publish_frame(b"payload", 1, properties=properties) for properties in [b"", *PROPERTIES]
    )
    assert [one.payload for one in Frames(version_5=True).feed(stream)] == [b"payload"] * 5


def test_a_topic_can_be_kept_whatever_it_is() -> None:
    """PostgreSQL has no NUL in a text, and the topic of a batch is written as UTF-8."""
    frame = bytearray(publish_frame(b"payload", 1, topic="iot/a/b"))
    frame[frame.index(b"a/b") : frame.index(b"a/b") + 3] = b"\0\xff\xed"
    [publish] = Frames(version_5=False).feed(bytes(frame))
    assert "\0" not in publish.topic
    assert publish.topic.encode().startswith(b"iot/")


def test_topics_do_not_fill_the_memory() -> None:
    """On a public broker anybody chooses them."""
    frames = Frames(version_5=False)
    for number in range(200):
        frames.feed(publish_frame(b"", topic=f"{number:05}" * 10_000))
    assert sum(map(len, frames._topics)) < 100_000


@pytest.mark.parametrize(
    ("stream", "version_5"),
    [
        (b"\x34\x05\0\x01a\0\x01", False),  # QoS 2 was not asked for
        (b"\x36\x05\0\x01a\0\x01", False),  # QoS 3 does not exist
        (b"\x30\x01\0", False),  # no room for a topic
        (b"\x30\x00", False),
        (b"\x30\x04\0\x09ab", False),  # a topic longer than its packet
        (b"\x32\x04\0\x01a\0", False),  # half a packet id
        (b"\x30\x03\0\x01a", True),  # no properties' length
        (b"\x30\x04\0\x01a\x09", True),  # properties longer than their packet
        (b"\x30\xff\xff\xff\xff\x01", False),  # a length of five bytes
        (b"\xd0\xff\xff\xff\xff\x01", False),
    ],
)
def test_it_handles_what_is_not_mqtt(stream: bytes, version_5: bool) -> None:
    with pytest.raises(MalformedFrameError):
        Frames(version_5).feed(stream)


@settings(deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_noise_raises_nothing_else(noise: bytes, version_5: bool) -> None:
    frames = Frames(version_5)
    try:
        for place in range(0, len(noise), 7):
            frames.feed(b"\x32" * (place == 0) + noise[place : place + 7])
    except MalformedFrameError:
        pass
