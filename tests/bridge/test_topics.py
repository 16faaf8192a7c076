"""Topic filters held against each other; paho says which topic matches which."""

from itertools import product

import pytest
from bridge_process import Start, payloads
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError
from paho.mqtt.client import topic_matches_sub
from scripted_broker import ScriptedBroker

from batches.store import BatchStore
from batches.topics import Topics, check, covers, overlap

LEVELS = ("a", "b", "$c", "")
# `z` stands for every level that no filter names.
TOPICS = [
    "/".join(one) for depth in (1, 2, 3, 4) for one in product((*LEVELS, "z"), repeat=depth) if any(one)
]
filters = st.builds(
    lambda first, more, end: "/".join([first, *more, *end]),
    st.sampled_from(["a", "b", "$c", "+"]),
    st.lists(st.sampled_from([*LEVELS, "+"]), max_size=2),
    st.sampled_from([[], ["#"]]),
) | st.just("#")


def matched(topic_filter: str) -> set[str]:
    return {topic for topic in TOPICS if topic and topic_matches_sub(topic_filter, topic)}


@pytest.mark.parametrize(
    "one", ["#", "+", "+/a/+", "/", "a/#", "a/$share", "$share/g/#", "$share/g/a/b", "x" * 65_535]
)
def test_what_is_a_filter(one: str) -> None:
    check(["a", one])


@pytest.mark.parametrize(
    "one",
    [
        "",
        "a\0",
        "x" * 65_536,
        "é" * 32_768,
        "$share",
        "$share/g",
        "$share//a",
        "$share/g/",
        "a#",
        "#/a",
        "a/b+",
    ],
)
def test_what_is_none(one: str) -> None:
    with pytest.raises(ValidationError):
        check(["a", one])


@given(filters, filters)
def test_it_works(one: str, other: str) -> None:
    assert covers(one, other) == (matched(other) <= matched(one))
    assert overlap(one, other) == bool(matched(one) & matched(other))


@given(st.lists(filters, min_size=1, max_size=5))
def test_what_is_left_out_is_brought_by_the_rest(given: list[str]) -> None:
    topics = Topics.of(given)
    assert set().union(*map(matched, topics.filters)) == set().union(*map(matched, given))
    assert {*topics.filters, *dict(topics.covered)} == set(given)
    assert not any(covers(a, b) for a in topics.filters for b in topics.filters if a != b)


@pytest.mark.parametrize(
    ("given", "kept", "overlapping"),
    [
        ("a/#,$share/g/a/b", "a/#", False),
        ("$share/g/a/b,$share/g/a/#", "$share/g/a/#", False),
        # A group's part is not all of it, and another group's is another part.
        ("$share/g/a/#,a/b", "$share/g/a/#,a/b", True),
        ("$share/g/a/#,$share/h/a/b", "$share/g/a/#,$share/h/a/b", True),
        ("a/b,a/b", "a/b", False),
        ("a/+,+/b", "a/+,+/b", True),
        ("#,$SYS/#", "#,$SYS/#", False),
    ],
)
def test_shared_subscriptions_and_others(given: str, kept: str, overlapping: bool) -> None:
    topics = Topics.of(given.split(","))
    assert topics.filters == tuple(kept.split(","))
    assert bool(topics.overlapping) is overlapping


def test_a_filter_that_another_covers_is_left_out(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    bridge = start(MQTT_URL=broker.url, MQTT_TOPICS="iot/measurements,iot/#")
    connection = broker.connection()
    assert connection.asked == [["iot/#"]]
    bridge.wait_for_line("MQTT_TOPICS: iot/measurements is left out, since iot/# covers it")
    connection.publish(b"once", 1)
    connection.wait_for_acks(1)
    assert payloads(store) == [b"once"]


def test_filters_that_overlap_are_said(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    bridge = start(MQTT_URL=broker.url, MQTT_TOPICS="a/+,+/b,c", LANGUAGE_CODE="fr")
    assert broker.connection().asked == [["a/+", "+/b", "c"]]
    [line] = [one for one in bridge.lines if "MQTT_TOPICS" in one]
    assert "a/+ et +/b se recoupent" in line
