"""A bridge's name is a claim that runs out (decision 0005); what is remembered under it is its owner's."""

import pytest

from batches.batch import Batch, Message, time_ordered_id
from batches.names import CLAIM_SECONDS, Bridge, NameHeldError, Names, NotOwnerError
from batches.store import BatchStore, Receipt


def test_only_the_owner_forgets(store: BatchStore) -> None:
    """One that was frozen in a new session wakes when another has handed over in it for long."""
    frozen = Bridge("b", Names(store.redis).take_over("b", "client", "first"), "first")
    owner = Bridge(
        "b", Names(store.redis).take_over("b", "client", "second", gone="first"), "second", seen=b"0123456789"
    )
    store.hand_over(Batch(time_ordered_id(), "test", [Message(0, "t", b"x")]), Receipt("bridge:b", ""), owner)
    with pytest.raises(NotOwnerError):
        Names(store.redis).forget_seen(frozen)
    assert Names(store.redis).seen("client") == b"0123456789"


def test_a_claim_is_its_owners_to_renew_and_to_release(store: BatchStore) -> None:
    names = Names(store.redis)
    former = Bridge("b", names.take_over("b", "client", "first"), "first")
    assert names.take_over("b", "another", "first") == "client", "the owner may ask again"
    owner = Bridge("b", names.take_over("b", "another", "second", gone="first"), "second")
    names.release_claim(former)
    with pytest.raises(NotOwnerError):
        names.renew_claim(former)
    with pytest.raises(NameHeldError) as held:
        names.take_over("b", "client", "third")
    assert (held.value.holder, held.value.client_id) == ("second", "client")
    store.redis.pexpire("iot:bridge:b:claim", 50)
    names.renew_claim(owner)
    assert store.redis.pttl("iot:bridge:b:claim") > 50
    names.release_claim(owner)
    assert names.take_over("b", "another", "third") == "client"


def test_its_next_word_gives_a_bridge_its_name_back_after_redis_was_emptied(store: BatchStore) -> None:
    names = Names(store.redis)
    bridge = Bridge("b", names.take_over("b", "client", "token"), "token")
    store.redis.flushdb()
    names.renew_claim(bridge)
    assert names.owner("b") == "token"
    names.release_claim(bridge)
    assert names.take_over("b", "another", "second") == "client"


@pytest.mark.parametrize("left", [3_600_000, None])
def test_a_clock_that_was_set_back_does_not_make_a_claim_last(store: BatchStore, left: int | None) -> None:
    Names(store.redis).take_over("b", "client", "dead")
    if left is None:
        store.redis.persist("iot:bridge:b:claim")
    else:
        store.redis.pexpire("iot:bridge:b:claim", left)
    with pytest.raises(NameHeldError):
        Names(store.redis).take_over("b", "client", "living")
    assert 0 < store.redis.pttl("iot:bridge:b:claim") <= CLAIM_SECONDS * 1000


def test_an_emptied_redis_costs_the_bridge_neither_its_name_nor_its_client_id(store: BatchStore) -> None:
    client_id = Names(store.redis).take_over("default", "iot-monitor-1", "token")
    store.redis.flushdb()
    batch = Batch(time_ordered_id(), "mqtt:default", [Message(1, "t", b"x")])
    store.hand_over(batch, Receipt("bridge:default", ""), Bridge("default", client_id, "token"))
    assert (
        Names(store.redis).take_over("default", "iot-monitor-2", "another") == "iot-monitor-1"
    )  # no claim is left
    with pytest.raises(NotOwnerError):
        store.hand_over(batch, Receipt("bridge:default", ""), Bridge("default", client_id, "token"))
