"""Redis never fills below its bound: a batch counts what it costs; and a full Redis can be emptied."""

import time
from uuid import UUID, uuid4

import pytest
from redis.exceptions import OutOfMemoryError

from batches.batch import Batch, Message, time_ordered_id
from batches.names import Bridge, Names
from batches.store import BatchStore, Receipt, StoreFullError

DAY = 24 * 3600


def batch(*payloads: bytes) -> Batch:
    moment = time.time_ns() // 1000
    messages = [Message(moment + place, "iot/measurements", one) for place, one in enumerate(payloads)]
    return Batch(time_ordered_id(), "mqtt:default", messages)


def used(store: BatchStore) -> int:
    """Without the buffers of our own connection, which are as long as the longest that it sent."""
    memory = store.redis.info("memory")
    return int(memory["used_memory"] - memory["mem_clients_normal"])


@pytest.fixture
def own_store(own_store: BatchStore) -> BatchStore:
    store = own_store
    # A rewrite of the file would count while it goes on.
    store.redis.config_set("auto-aof-rewrite-percentage", 0)
    # It is the memory that counts here.
    store.redis.config_set("appendfsync", "no")
    return store


@pytest.mark.parametrize(
    ("payload", "messages", "batches"),
    [(1, 1, 3000), (60, 1, 3000), (60, 4, 3000), (200, 16, 1000), (60, 1000, 200), (16_384, 1, 1000)],
)
def test_a_batch_counts_what_it_costs(
    own_store: BatchStore, payload: int, messages: int, batches: int
) -> None:
    """Also when it was tried and postponed, which leaves its traces in Redis."""
    receipt = Receipt("bridge:default", "")
    own_store.done(own_store.hand_over(batch(*[b"x" * payload] * messages), receipt).batch_id)
    empty = used(own_store)
    for _ in range(batches):
        own_store.hand_over(batch(*[b"x" * payload] * messages), receipt)
    ids = own_store.due(batches)
    for batch_id in ids:
        own_store.claim(batch_id)
        own_store.postpone(batch_id, apart=True)
        own_store.claim(batch_id)
    costs = used(own_store) - empty
    counted = own_store.figures().pending_bytes
    assert costs <= counted <= 4 * costs
    own_store.done(*ids)
    assert own_store.figures().pending_bytes == own_store.figures().pending_messages == 0


def post(store: BatchStore, key: str, said: str) -> UUID:
    """As the API hands over, with an Idempotency-Key; it is stored at once."""
    receipt = Receipt(f"http:1:{key:0>64}", said, DAY, once=True)
    standing, _ = store.hand_over(Batch(time_ordered_id(), "http", [Message(1, "http", b"{}")]), receipt)
    store.done(standing)
    return standing


def receipt_bytes(store: BatchStore) -> int:
    return int(store.redis.hget("iot:books", "receipt_bytes") or 0)


def test_a_receipt_counts_what_it_costs(own_store: BatchStore) -> None:
    post(own_store, "the first", "x" * 64)
    empty = used(own_store)
    for number in range(3000):
        post(own_store, str(number), "x" * 64)
    assert used(own_store) - empty <= receipt_bytes(own_store) <= 2 * (used(own_store) - empty)


def test_a_receipt_counts_until_it_has_expired(store: BatchStore, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.time()
    post(store, "a day", "x")
    one = receipt_bytes(store)
    assert one > 0
    monkeypatch.setattr("batches.store.time.time", lambda: began + DAY - 1)
    post(store, "the next", "x")
    assert receipt_bytes(store) == 2 * one
    monkeypatch.setattr("batches.store.time.time", lambda: began + DAY + 61)
    store.hand_over(batch(b"x"), Receipt("bridge:default", ""))
    assert receipt_bytes(store) == one
    monkeypatch.setattr("batches.store.time.time", lambda: began + 3 * DAY)
    store.hand_over(batch(b"x"), Receipt("bridge:default", "again"))
    assert receipt_bytes(store) == 0
    assert not store.redis.exists("iot:receipts", "iot:receipts:bytes")


def test_receipts_leave_room_for_batches(store: BatchStore) -> None:
    """Whoever sends a new key with each reading, for a day, is refused before the bridge is."""
    store.max_bytes = 2**20
    keys = 0
    while receipt_bytes(store) < 2**18 - 400:
        post(store, str(keys), "x")
        keys += 1
    assert keys > 500
    with pytest.raises(StoreFullError, match="Idempotency-Key"):
        [post(store, f"one more {number}", "x") for number in range(2)]
    assert post(store, "7", "x"), "a retry is still answered"
    store.hand_over(batch(b"x" * 100_000), Receipt("bridge:default", ""))
    store.hand_over(batch(b"without a key"), Receipt(f"http:{uuid4()}", "", 60))
    with pytest.raises(StoreFullError, match="BATCHES_MAX_BYTES"):
        store.hand_over(batch(*[b"x" * 16_000] * 40), Receipt("bridge:default", "next"))


def test_receipts_may_fill_their_share_to_the_last_byte(store: BatchStore) -> None:
    post(store, "1", "x")
    one = receipt_bytes(store)
    store.max_bytes = 4 * 5 * one
    for number in range(2, 6):
        post(store, str(number), "x")
    with pytest.raises(StoreFullError, match="Idempotency-Key"):
        post(store, "6", "x")
    assert receipt_bytes(store) == 5 * one


def test_the_count_is_exact_over_an_upgrade(store: BatchStore) -> None:
    """What an earlier version handed over counted its body alone, and as much is given back."""
    old, new = batch(b"x"), batch(b"x")
    for one in (old, new):
        store.hand_over(one, Receipt("bridge:default", str(one.id)))
    counted = store.figures().pending_bytes // 2
    store.redis.hset(f"iot:batch:{old.id}", "bytes", len(old.pack()))
    store.redis.hincrby("iot:books", "pending_bytes", len(old.pack()) - counted)
    store.done(old.id)
    assert store.figures().pending_bytes == counted
    store.done(new.id)
    assert store.figures().pending_bytes == 0


def test_a_redis_that_is_full_holds_nothing_of_a_batch(own_store: BatchStore) -> None:
    own_store.hand_over(batch(b"first"), Receipt("r", ""))
    own_store.redis.config_set("maxmemory", "1mb")
    with pytest.raises(StoreFullError, match="maxmemory"):
        own_store.hand_over(batch(b"x" * 100_000), Receipt("r", ""))
    assert own_store.figures().handed_over == 1
    assert len(own_store.redis.keys("iot:batch:*")) == 1


def test_a_redis_that_is_full_can_be_emptied(own_store: BatchStore) -> None:
    """Nothing that leads to a batch's end wants memory that is not there."""
    store, names = own_store, Names(own_store.redis)
    claim = Bridge("b", names.take_over("b", "client", "token"), "token", seen=b"0123456789")
    batches = [batch(b"x") for _ in range(4)]
    for one in batches:
        store.hand_over(one, Receipt("bridge:b", str(one.id)), claim)
    store.redis.config_set("maxmemory", "100kb")
    with pytest.raises(OutOfMemoryError):
        store.redis.set("anything", "x")

    names.renew_claim(claim)
    assert store.claim(batches[0].id)
    assert store.postpone(batches[0].id) == 1
    taken = [one.batch_id for _ in range(3) for one in store.take()]
    assert taken == [one.id for one in batches[1:]]
    assert store.postpone_together(taken[:2]) == 1
    store.note_touching(taken[2], 7)
    assert store.careful_deaths(taken[2]) == store.careful_deaths(taken[2]) == {7: 1}
    assert store.figures().pending_batches == 4
    assert store.done(*(one.id for one in batches)) == 4
    names.forget_seen(claim)
    names.release_claim(claim)
    assert names.take_over("b", "another", "token 2") == "client"


@pytest.mark.parametrize(("mebibytes", "warned"), [(0, False), (352, False), (351, True), (256, True)])
def test_a_maxmemory_near_the_bound_is_warned_of(own_store: BatchStore, mebibytes: int, warned: bool) -> None:
    own_store.redis.config_set("appendfsync", "always")
    own_store.redis.config_set("maxmemory", f"{mebibytes}mb")
    own_store.max_bytes = 256 * 2**20
    lines = own_store.warnings()
    said = f"(256 MiB) of batches wait: its maxmemory is {mebibytes} MiB; set it to 352 MiB"
    assert [said in line for line in lines] == [True] * warned
