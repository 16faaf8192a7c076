"""What recognises a redelivery: also one of a message that version 0.1 handed over."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.batch import Batch, time_ordered_id
from bridge.frames import Publish
from bridge.window import Window, identity

ONCE = Publish(7, False, False, "iot/measurements", b"once")


def by_version_0_1(publish: Publish) -> bytes:
    digest = hashlib.blake2b(publish.topic.encode() + publish.payload, digest_size=8)
    return publish.mid.to_bytes(2) + digest.digest()


@pytest.mark.parametrize(
    "seen", [by_version_0_1(ONCE), identity(ONCE.mid, ONCE.topic, ONCE.payload)], ids=["0.1", "now"]
)
def test_what_an_earlier_process_handed_over_is_recognised(seen: bytes) -> None:
    window = Window(10, seen)
    again = ONCE._replace(dup=True)
    assert window.take([again], 1) == ([], 1)
    assert window.open.acks == [(1, 7)]
    for other in (again._replace(mid=8), again._replace(topic="iot"), again._replace(payload=b"twice")):
        assert len(window.take([other], 1)[0]) == 1
    # Without DUP it is a new message, whatever it resembles.
    assert len(window.take([ONCE], 1)[0]) == 1


def test_messages_at_both_qualities_are_acknowledged_where_they_ask_for_it() -> None:
    window = Window(10)
    mids = [1, 0, 2, 0, 3]
    window.take([ONCE._replace(mid=mid) for mid in mids], 4)
    window.take([ONCE._replace(mid=mid, payload=b"later") for mid in (5, 6)], 4)
    assert window.open.acks == [(4, 1), (4, 2), (4, 3), (4, 5), (4, 6)]
    assert window.open.places == [0, -1, 1, -1, 2, 3, 4]
    # Sent again over another connection, each is acknowledged there, in its turn.
    window.take([ONCE._replace(mid=3, dup=True), ONCE._replace(mid=5, payload=b"later", dup=True)], 5)
    assert window.open.acks == [(4, 1), (4, 2), (5, 3), (5, 5), (4, 6)]
    assert [message.payload for message in window.open.messages] == [b"once"] * 5 + [b"later"] * 2


def test_moments_only_grow() -> None:
    window = Window(10)
    for _ in range(50):
        window.take([ONCE, ONCE], 1)
    moments = [message.received_us for message in window.open.messages]
    assert moments == sorted(set(moments))


def test_a_new_session_recognises_what_comes_in_it_alone() -> None:
    """Also where the open batch has messages of both."""
    window = Window(10)
    window.take([ONCE], 1)
    window.forget()
    window.take([ONCE._replace(mid=9)], 2)
    window.handed_over(window.seal())
    assert window.take([ONCE._replace(dup=True)], 2)[1] == 0
    assert window.take([ONCE._replace(mid=9, dup=True)], 2)[1] == 1


@given(
    st.lists(
        st.lists(
            st.builds(
                Publish,
                st.integers(0, 9),
                st.just(False),
                st.booleans(),
                st.sampled_from(["a", "b/c", "ü"]),
                st.binary(max_size=3),
                st.none(),
                st.none(),
            ),
            max_size=4,
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_by_columns_as_one_by_one(reads: list[list[Publish]], cut: bool) -> None:
    """Whatever comes: messages, acknowledgements, what recognises them, and the batch as it is packed."""
    window, came = Window(100), [one for read in reads for one in read]
    if cut and came:
        reads[-1] = [*reads[-1], (long := Publish(9, False, False, "a", b"start", 20_000, b"d" * 32))]
        came.append(long)
    for read in reads:
        new, redelivered = window.take(read, 3)
        assert ([message.payload for message in new], redelivered) == ([one.payload for one in read], 0)
    gathering = window.seal()
    assert [message[1:] for message in gathering.messages] == [
        (one.topic, one.payload, one.retained, one.length, one.digest) for one in came
    ]
    assert gathering.acks == [(3, one.mid) for one in came if one.mid]
    assert gathering.bytes == sum(len(one.topic) + len(one.payload) for one in came)
    assert gathering.seen() == b"".join(
        identity(one.mid, one.topic, one.digest or one.payload) for one in came if one.mid
    )
    packed = Batch(time_ordered_id(), "mqtt:test", gathering.messages)
    assert packed.pack() == packed._replace(messages=list(gathering.messages)).pack()
