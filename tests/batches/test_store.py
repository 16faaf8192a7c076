"""The batch store by itself: whole or not at all, once, under its bound, and only for the name's owner."""

import pytest
from redis.exceptions import ReadOnlyError

from batches.batch import Batch, Message, time_ordered_id
from batches.names import Bridge, Names, NotOwnerError
from batches.store import (
    DEATHS_BEFORE_CARE,
    TOGETHER_BATCHES,
    TOGETHER_MESSAGES,
    BatchStore,
    Receipt,
    StoreFullError,
    cost,
)
from runner.services import Redis


def batch(*payloads: bytes) -> Batch:
    return Batch(time_ordered_id(), "test", [Message(place, "t", one) for place, one in enumerate(payloads)])


def test_it_counts_once_under_one_id(store: BatchStore) -> None:
    name = Bridge(
        "b", Names(store.redis).take_over("b", "client", "token"), "token", seen=b"0123456789", window=10
    )
    one = batch(b"a", b"b")
    for _ in range(3):
        assert store.hand_over(one, Receipt("bridge:b", ""), name) == (one.id, 1)
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
    store.hand_over(batch(b"x"), Receipt("bridge:b", ""), claim._replace(seen=b"0123456789"))
    assert Names(store.redis).seen("client") == b"0123456789", "it begins anew"


def test_of_lone_messages_it_remembers_just_the_window(store: BatchStore) -> None:
    claim = Bridge("b", Names(store.redis).take_over("b", "client", "token"), "token", window=10)
    for number in range(13):
        store.hand_over(batch(b"x"), Receipt("bridge:b", ""), claim._replace(seen=b"%10d" % number))
    assert Names(store.redis).seen("client") == b"".join(b"%10d" % number for number in range(3, 13))


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
    store.max_bytes = 2500
    first = batch(b"x" * 600)
    store.hand_over(first, Receipt("r", ""))
    with pytest.raises(StoreFullError, match="BATCHES_MAX_BYTES"):
        store.hand_over(batch(b"x" * 600), Receipt("r", ""))
    assert store.figures().handed_over == 1
    store.done(first.id)
    store.hand_over(batch(b"x" * 600), Receipt("r", ""))
    assert store.figures().pending_messages == 1


def test_it_takes_what_fills_it_to_the_bound(store: BatchStore) -> None:
    one = batch(b"x" * 600)
    store.max_bytes = cost(one.pack())
    store.hand_over(one, Receipt("r", ""))
    assert store.figures().pending_bytes == store.max_bytes


def test_what_was_received_is_counted_by_the_minute(
    store: BatchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = 500_000 * 3600
    for second in (59, 60, 3599):
        monkeypatch.setattr("batches.store.time.time", lambda second=second: hour + second + 0.5)
        store.hand_over(batch(b"a", b"b"), Receipt("r", ""))
    assert store.received(hour, hour + 3600) == {hour: 2, hour + 60: 2, hour + 59 * 60: 2}


def test_batches_whose_keys_somebody_deleted_are_forgotten(store: BatchStore) -> None:
    gone, *left = (batch(b"a", b"b") for _ in range(3))
    for one in (gone, *left):
        store.hand_over(one, Receipt("r", ""))
    counted = store.figures().pending_bytes
    store.redis.delete(f"iot:batch:{gone.id}")
    assert store.forget_gone() == 1
    figures = store.figures()
    assert (figures.pending_batches, figures.pending_messages, figures.pending_bytes) == (
        2,
        4,
        counted * 2 / 3,
    )
    assert store.due(10) == [one.id for one in left]
    store.redis.delete(f"iot:batch:{left[0].id}")
    assert [claim.batch_id for claim in store.take()] == [left[1].id]
    assert store.redis.zcard("iot:batches:due") == 1, "nobody looks at it again"


def test_what_is_pending_is_told_batch_by_batch_up_to_a_number(store: BatchStore) -> None:
    batches = [batch(b"a", b"b"), batch(b"c")]
    for one in batches:
        store.hand_over(one, Receipt("r", ""))
    assert store.standing(2) == (3, 3, 0, [one.id for one in batches])
    assert store.standing(1) is None
    store.redis.delete(f"iot:batch:{batches[0].id}")
    assert store.standing(2) == (3, 1, 1, [batches[1].id])


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
    store = BatchStore.at(own_redis.url, 2**28)
    assert store.warnings() == []
    for name, value, word in [
        ("maxmemory-policy", "allkeys-lru", "noeviction"),
        ("appendfsync", "everysec", "appendfsync"),
        ("appendonly", "no", "appendonly"),
    ]:
        store.redis.config_set(name, value)
        (line,) = store.warnings()
        assert word in line


def test_what_is_due_longest_is_taken_first_and_nothing_twice(store: BatchStore) -> None:
    handed_over = [batch(b"x") for _ in range(3)]
    for one in handed_over:
        store.hand_over(one, Receipt("r", ""))
    assert store.due(10) == [one.id for one in handed_over]
    taken = [claim.batch_id for _ in handed_over for claim in store.take()]
    assert taken == [one.id for one in handed_over]
    assert store.take() == store.due(10) == []


def test_small_ones_are_taken_together(store: BatchStore) -> None:
    def taken() -> list[int]:
        found = []
        while claims := store.take():
            found.append(len(claims))
        return found

    for _ in range(TOGETHER_BATCHES + 10):
        store.hand_over(batch(b"x"), Receipt("r", ""))
    assert taken() == [TOGETHER_BATCHES, 10]
    for _ in range(5):
        store.hand_over(batch(*[b"x"] * (TOGETHER_MESSAGES // 2)), Receipt("r", ""))
    assert taken() == [2, 2, 1]
    for _ in range(3):
        store.hand_over(batch(*[b"x" * 16_000] * 10), Receipt("r", ""))
    assert taken() == [2, 1], "by their bytes"
    big = batch(*[b"x" * 16_000] * 60)
    store.hand_over(big, Receipt("r", ""))
    store.hand_over(batch(b"x"), Receipt("r", ""))
    assert taken() == [1, 1], "one that is larger is taken all the same"


def test_where_a_worker_died_at_several_each_is_taken_by_itself(store: BatchStore) -> None:
    batches = [batch(b"x") for _ in range(3)]
    for one in batches:
        store.hand_over(one, Receipt("r", ""))
    store.lease_seconds = -1
    assert [claim.deaths for claim in store.take()] == [0, 0, 0]
    store.lease_seconds = 30
    assert [[claim.deaths for claim in store.take()] for _ in batches] == [[0]] * 3
    for one in batches:
        store.postpone(one.id)
        store.redis.zadd("iot:batches:due", {str(one.id): 0})
    assert len(store.take()) == 3, "an attempt that ended clears it"


def test_one_that_is_claimed_is_nobody_elses_for_a_lease(store: BatchStore) -> None:
    one = batch(b"x")
    store.hand_over(one, Receipt("r", ""))
    assert store.claim(one.id)
    assert store.take() == store.due(10) == []


def test_batches_taken_together_have_not_started(store: BatchStore) -> None:
    """So there is no attempt to take back from them where they are postponed."""
    batches = [batch(b"x") for _ in range(3)]
    for one in batches:
        store.hand_over(one, Receipt("r", ""))
    assert len(store.take()) == 3
    store.postpone_together([one.id for one in batches])
    assert [store.claim(one.id).deaths for one in batches] == [0, 0, 0]  # type: ignore[union-attr]
    store.postpone_together([batches[0].id])
    assert store.claim(batches[0].id).deaths == 1, "nor is one that began forgotten"  # type: ignore[union-attr]


def test_one_that_may_be_at_fault_is_taken_by_itself(store: BatchStore) -> None:
    batches = [batch(b"x") for _ in range(3)]
    for one in batches:
        store.hand_over(one, Receipt("r", ""))
    suspect = batches[1].id
    store.claim(suspect)
    store.postpone(suspect, apart=True)
    store.redis.zadd("iot:batches:due", {str(suspect): 0})
    assert [len(store.take()) for _ in range(2)] == [1, 2]


def test_what_is_postponed_is_not_due_before_its_time(store: BatchStore) -> None:
    one = batch(b"x")
    store.hand_over(one, Receipt("r", ""))
    assert [claim.deaths for claim in store.take()] == [0]
    assert [store.postpone(one.id) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert store.take() == store.due(10) == []
    store.redis.zadd("iot:batches:due", {str(one.id): 0})
    assert store.due(10) == [one.id]


def test_what_a_worker_died_at_comes_back_after_its_lease(store: BatchStore) -> None:
    one = batch(b"x")
    store.hand_over(one, Receipt("r", ""))
    store.lease_seconds = -1
    assert [claim.deaths for _ in range(3) for claim in store.take()] == [0, 1, 2]
    store.postpone(one.id)
    store.redis.zadd("iot:batches:due", {str(one.id): 0})
    assert [claim.deaths for claim in store.take()] == [2], "an attempt that ended is no death"


def test_what_is_noted_beside_a_batch_goes_with_it(store: BatchStore) -> None:
    one = batch(b"x")
    store.hand_over(one, Receipt("r", ""))
    store.note_touching(one.id, 7)
    assert store.careful_deaths(one.id) == {7: 1}
    store.done(one.id)
    store.note_touching(one.id, 8)
    store.note_touching(one.id, None)
    assert not store.redis.exists(f"iot:batch:{one.id}"), "what nobody would ever delete"
