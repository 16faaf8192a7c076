"""What the broker sends again is recognised (DESIGN, identity and time)."""

import pytest
from bridge_process import Start, payloads
from scripted_broker import ScriptedBroker, until

from batches.store import BatchStore
from runner.services import Redis


def test_a_message_that_was_handed_over_is_only_acknowledged(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    start(MQTT_URL=broker.url)
    first = broker.connection(0)
    first.publish(b"once", mid=1)
    first.wait_for_acks(1)
    first.break_off()
    second = broker.connection(1)
    second.publish(b"once", mid=1, dup=True)
    second.publish(b"new", mid=2)
    second.wait_for_acks(1, 2)
    assert payloads(store) == [b"once", b"new"]
    until(lambda: store.figures().redelivered == 1, "the count")


def test_it_is_recognised_after_a_restart_too(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    bridge = start(MQTT_URL=broker.url)
    first = broker.connection(0)
    for mid in range(1, 21):
        first.publish(b"once %d" % mid, mid)
    first.wait_for_acks(*range(1, 21))
    bridge.kill()
    start(MQTT_URL=broker.url)
    second = broker.connection(1)
    for mid in range(1, 21):
        second.publish(b"once %d" % mid, mid, dup=True)
    second.wait_for_acks(*range(1, 21))
    assert len(payloads(store)) == 20
    until(lambda: store.figures().redelivered == 20, "the count")


def test_another_payload_under_the_same_packet_id_is_new(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    start(MQTT_URL=broker.url)
    first = broker.connection(0)
    first.publish(b"one", mid=1)
    first.wait_for_acks(1)
    first.break_off()
    second = broker.connection(1)
    second.publish(b"two", mid=1, dup=True)
    second.wait_for_acks(1)
    assert payloads(store) == [b"one", b"two"]


def test_long_payloads_that_differ_past_what_is_kept_are_told_apart(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    start(MQTT_URL=broker.url)
    first = broker.connection(0)
    first.publish(b"x" * 20_000 + b"one", mid=1)
    first.wait_for_acks(1)
    first.break_off()
    second = broker.connection(1)
    second.publish(b"x" * 20_000 + b"two", mid=1, dup=True)
    second.wait_for_acks(1)
    assert len(payloads(store)) == 2


def test_the_same_payload_without_dup_is_new(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    start(MQTT_URL=broker.url)
    connection = broker.connection(0)
    connection.publish(b"same", mid=1)
    connection.wait_for_acks(1)
    connection.publish(b"same", mid=1)
    connection.wait_for_acks(1, 1)
    assert payloads(store) == [b"same", b"same"]


@pytest.mark.parametrize("restart", [False, True])
def test_a_new_session_makes_everything_new(start: Start, store: BatchStore, restart: bool) -> None:
    """The broker has lost its memory: packet ids begin again, and mean other messages."""
    with ScriptedBroker(session_present=(False, False, True)) as broker:
        bridge = start(MQTT_URL=broker.url)
        first = broker.connection(0)
        first.publish(b"same", mid=1)
        first.wait_for_acks(1)
        first.break_off()
        second = broker.connection(1)
        if restart:  # what Redis remembers must be gone too
            client = f"iot:seen:{second.client_id}"
            until(lambda: not store.redis.exists(client), "Redis to forget")
            bridge.kill()
            start(MQTT_URL=broker.url)
            second = broker.connection(2)
        second.publish(b"same", mid=1, dup=True)
        second.wait_for_acks(1)
        assert payloads(store) == [b"same", b"same"]


def test_a_new_session_is_subscribed_to_only_once_the_old_one_is_forgotten_for_good(
    start: Start, own_redis: Redis, own_store: BatchStore
) -> None:
    """Else a crash in between leaves the old list, and what the new session sends again is taken for old."""
    store = own_store
    with ScriptedBroker(session_present=(False,)) as broker:
        known: list[int] = []
        broker.on_subscribed = lambda connection: known.append(
            store.redis.exists(f"iot:seen:{connection.client_id}")
        )
        start(MQTT_URL=broker.url, REDIS_URL=own_redis.url)
        first = broker.connection(0)
        until(lambda: known, "the subscription")
        first.publish(b"same", mid=1)
        first.wait_for_acks(1)
        assert store.redis.exists(f"iot:seen:{first.client_id}")
        # Redis takes its time to forget.
        store.redis.execute_command("CLIENT", "PAUSE", 1000, "WRITE")
        first.break_off()
        broker.connection(1)
        until(lambda: len(known) == 2, "both subscriptions")
        assert known == [0, 0]


def test_a_redis_that_is_away_does_not_keep_it_from_subscribing(start: Start, own_redis: Redis) -> None:
    """Until there is a subscription, the broker of a new session keeps nothing."""
    with ScriptedBroker(session_present=(False,)) as broker:
        bridge = start(MQTT_URL=broker.url, REDIS_URL=own_redis.url)
        first = broker.connection(0)
        own_redis.kill()
        first.publish(b"x", mid=1)
        bridge.wait_for_line("cannot hand over")
        first.break_off()
        broker.connection(1)


def test_what_is_held_is_acknowledged_on_the_new_connection_alone(
    start: Start, broker: ScriptedBroker, own_redis: Redis
) -> None:
    """Redis is away, so messages wait; the broker sends them again; Redis comes back."""
    store = BatchStore.at(own_redis.url, 2**28)
    bridge = start(MQTT_URL=broker.url, REDIS_URL=own_redis.url)
    first = broker.connection(0)
    own_redis.kill()
    for mid in (1, 2, 3):
        first.publish(b"%d" % mid, mid)
    bridge.wait_for_line("cannot hand over")
    first.break_off()
    second = broker.connection(1, 40)
    second.publish(b"1", mid=1, dup=True)
    second.publish(b"2", mid=2, dup=True)
    second.publish(b"5", mid=5)
    own_redis.start()
    until(lambda: len(second.acked) == 3, "PUBACKs", 30)
    # 3 was not sent again (yet): on this connection its packet id means nothing.
    assert second.acked == [1, 2, 5]
    assert sorted(payloads(store)) == [b"1", b"2", b"3", b"5"]
    assert first.acked == []
    second.publish(b"3", mid=3, dup=True)
    second.wait_for_acks(1, 2, 5, 3)
    assert len(payloads(store)) == 4


def test_a_message_held_across_a_new_session_does_not_hide_one_of_the_new(
    start: Start, own_redis: Redis
) -> None:
    """Boards send the same payload again and again; a broker that forgot begins with packet id 1 again."""
    with ScriptedBroker(session_present=(False, False, True)) as broker:
        store = BatchStore.at(own_redis.url, 2**28)
        bridge = start(MQTT_URL=broker.url, REDIS_URL=own_redis.url)
        first = broker.connection(0)
        own_redis.kill()
        first.publish(b"same", mid=1)
        bridge.wait_for_line("cannot hand over")
        first.break_off()
        broker.connection(1, 40).break_off()  # the new session's message was sent here, and never read
        third = broker.connection(2, 40)
        third.publish(b"same", mid=1, dup=True)
        own_redis.start()
        until(lambda: third.acked == [1], "the PUBACK", 30)
        assert payloads(store) == [b"same", b"same"]


def test_what_was_remembered_hides_nothing_of_a_session_that_redis_has_not_heard_of(
    start: Start, own_redis: Redis
) -> None:
    """It is subscribed to while Redis still holds the old list; this process knows better."""
    with ScriptedBroker(session_present=(False, False, True)) as broker:
        store = BatchStore.at(own_redis.url, 2**28)
        start(MQTT_URL=broker.url, REDIS_URL=own_redis.url)
        first = broker.connection(0)
        first.publish(b"same", mid=1)
        first.wait_for_acks(1)
        own_redis.kill()
        first.break_off()
        broker.connection(1, 40).break_off()
        third = broker.connection(2, 40)
        third.publish(b"same", mid=1, dup=True)
        own_redis.start()
        until(lambda: third.acked == [1], "the PUBACK", 30)
        assert payloads(store) == [b"same", b"same"]
        assert store.figures().redelivered == 0
