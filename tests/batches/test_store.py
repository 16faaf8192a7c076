"""The batch store by itself: whole or not at all, once, under its bound, and only for the name's owner."""

import pytest
from redis.exceptions import ReadOnlyError

from batches.batch import Batch, Message, time_ordered_id
from batches.names import Bridge, Names, NotOwnerError
from batches.store import DEATHS_BEFORE_CARE, BatchStore, Receipt, StoreFullError
from runner.services import Redis


def batch(*payloads: bytes) -> Batch:
    return Batch(time_ordered_id(), "test", [Message(place, "t", one) for place, one in enumerate(payloads)])


def test_it_counts_once_under_one_id(store: BatchStore) -> None:
    name = Bridge(
        "b", Names(store.redis).take_over("b", "client", "token"), "token", seen=b"0123456789", window=10
    )
    one = batch(b"a", b"b")
    for _ in range(3):
        assert store.hand_over(one, Receipt("bridge:b", ""), name) == one.id
    figures = store.figures()
    assert (figures.handed_over, figures.pending_messages, figures.pending_batches) == (2, 2, 1)
    assert Names(store.redis).seen("client") == b"0123456789"


def test_it_remembers_as_many_messages_as_the_window(store: BatchStore) -> None:
    claim = Bridge("b", Names(store.redis).take_over("b", "client", "token"), "token", window=10)
    for number in range(20):
        seen = b"".join(b"%10d" % (number * 3 + place) for place in range(3))
        store.hand_over(batch(b"x"), Receipt("bridge:b", ""), claim._replace(seen=seen))
    remembered = Names(store.redis).seen("client")
    assert 100 <= len(remembered) <= 120
    assert remembered.endswith(b"%10d" % 59)
    Names(store.redis).forget_seen(claim)
    assert Names(store.redis).seen("client") == b""


def test_only_the_owner_hands_over(store: BatchStore) -> None:
    claim = Bridge("b", Names(store.redis).take_over("b", "one", "first"), "first")
    assert Names(store.redis).take_over("b", "two", "second", gone="first") == "one"
    with pytest.raises(NotOwnerError):
        store.hand_over(batch(b"x"), Receipt("bridge:b", ""), claim)
    assert store.figures().handed_over == 0


def test_an_attempt_that_is_postponed_is_no_death(store: BatchStore) -> None:
    """However often: else an outage of the database would make every batch one that kills workers."""
    one = batch(b"a")
    store.hand_over(one, Receipt("r", ""))
    for _ in range(DEATHS_BEFORE_CARE + 1):
        claim = store.claim(one.id)
        assert claim is not None
        assert (claim.deaths, claim.needs_care) == (0, False)
        store.postpone(one.id)
    for deaths in range(DEATHS_BEFORE_CARE + 1):
        claim = store.claim(one.id)
        assert claim is not None
        assert (claim.deaths, claim.needs_care) == (deaths, deaths >= DEATHS_BEFORE_CARE)


def test_it_refuses_what_is_over_the_bound(store: BatchStore) -> None:
    store.max_bytes = 1000
    first = batch(b"x" * 600)
    store.hand_over(first, Receipt("r", ""))
    with pytest.raises(StoreFullError, match="BATCHES_MAX_BYTES"):
        store.hand_over(batch(b"x" * 600), Receipt("r", ""))
    assert store.figures().handed_over == 1
    store.done(first.id)
    store.hand_over(batch(b"x" * 600), Receipt("r", ""))
    assert store.figures().pending_messages == 1


def test_a_redis_that_is_full_holds_nothing_of_a_batch(own_redis: Redis) -> None:
    store = BatchStore.at(own_redis.url, 2**30)
    store.hand_over(batch(b"first"), Receipt("r", ""))
    store.redis.config_set("maxmemory", "1mb")
    with pytest.raises(StoreFullError, match="maxmemory"):
        store.hand_over(batch(b"x" * 100_000), Receipt("r", ""))
    assert store.figures().handed_over == 1
    assert len(store.redis.keys("iot:batch:*")) == 1


def test_a_master_that_became_a_replica_is_left(own_redis: Redis) -> None:
    """After a failover its name leads elsewhere, but the connection that is open does not."""
    store = BatchStore.at(own_redis.url, 2**30)
    store.hand_over(batch(b"first"), Receipt("r", ""))
    connection = store.redis.client_id()
    store.redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(ReadOnlyError):
        store.hand_over(batch(b"second"), Receipt("r", ""))
    assert store.redis.client_id() != connection


def test_durability_is_judged(own_redis: Redis) -> None:
    store = BatchStore.at(own_redis.url, 2**30)
    assert store.durability_warning() is None
    for name, value, word in [
        ("maxmemory-policy", "allkeys-lru", "noeviction"),
        ("appendfsync", "everysec", "appendfsync"),
        ("appendonly", "no", "appendonly"),
    ]:
        store.redis.config_set(name, value)
        assert word in (store.durability_warning() or "")
