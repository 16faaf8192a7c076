"""A batch's way through msgpack, and its id."""

from itertools import pairwise
from uuid import RFC_4122, uuid4

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

import batches.batch
from batches.batch import Batch, Message, time_ordered_id, to_datetime

MESSAGES = st.builds(
    lambda moment, topic, payload, retained: Message(moment, topic, payload, retained),
    st.integers(0, 2**53),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.binary(max_size=50),
    st.booleans(),
)
LONG = st.builds(
    lambda message, length, digest: message._replace(length=length, digest=digest),
    MESSAGES,
    st.integers(16_385, 2**28),
    st.binary(min_size=32, max_size=32),
)


@given(st.uuids(), st.text(max_size=20), st.lists(st.one_of(MESSAGES, LONG), min_size=1))
def test_it_comes_back_as_it_was(batch_id, source, messages) -> None:
    batch = Batch(batch_id, source.encode(errors="replace").decode(), messages)
    assert Batch.unpack(batch_id, batch.pack()) == batch


def test_what_stands_for_a_topic_in_its_rows_leads_to_it() -> None:
    """Be it as it was made or as it was packed."""
    topics = ["iot/hall", "iot/attic", "iot/hall"]
    made = Batch(uuid4(), "http", [Message(1, topic, b"x") for topic in topics])
    for batch in (made, Batch.unpack(made.id, made.pack())):
        assert [batch.topics()[row[1]] for row in batch.rows()] == topics


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"x",
        msgpack.packb([2, "s", [], []]),
        msgpack.packb([1, "s", ["t"], [[1]]]),
        msgpack.packb(5),
    ],
)
def test_it_handles_a_body_of_another_format(body: bytes) -> None:
    with pytest.raises(ValueError, match="batch"):
        Batch.unpack(uuid4(), body)


def test_its_id_is_of_version_7_and_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [1_800_000_000_000_000_000]
    monkeypatch.setattr(batches.batch.time, "time_ns", lambda: moment[0])
    ids = []
    for _ in range(200):
        moment[0] += 1_000_000
        ids.append(time_ordered_id())
    assert all(one.version == 7 and one.variant == RFC_4122 for one in ids)
    assert all(earlier < later for earlier, later in pairwise(ids))
    assert ids[-1].int >> 80 == moment[0] // 1_000_000


def test_microseconds_are_exact() -> None:
    assert to_datetime(1_769_612_875_123_457).isoformat() == "2026-01-28T15:07:55.123457+00:00"


def test_it_is_shown_by_its_first_message() -> None:
    first, last = Message(1, "iot/hall", b"x" * 200), Message(2, "iot/attic", b"\xff")
    assert Batch(uuid4(), "http", [first, last]).summary() == f"2 × iot/hall: {'x' * 120}"
    assert Batch(uuid4(), "http", [last]).summary() == "1 × iot/attic: \ufffd"
