"""The bridge as a process: what reaches the store, and what is acknowledged when."""

from itertools import pairwise

from bridge_process import Start, handed_over, messages, payloads
from scripted_broker import Connection, ScriptedBroker, publish_frame, until

from batches.store import BatchStore


def connect(start: Start, broker: ScriptedBroker, **environment: str) -> Connection:
    start(MQTT_URL=broker.url, **environment)
    return broker.connection(len(broker.accepted))


def test_it_works(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    payload = b'{"sensor_id": 3, "type": "light", "value": 2.57, "unit": "V"}'
    connection = connect(start, broker)
    connection.publish(payload, mid=7)
    connection.wait_for_acks(7)
    [message] = messages(store)
    assert (message.topic, message.payload, message.retained) == ("iot/measurements", payload, False)
    assert store.figures().handed_over == 1
    assert handed_over(store)[0].source == "mqtt:default"


def test_it_asks_for_a_persistent_session(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    connection = connect(start, broker, MQTT_RECEIVE_WINDOW="123", MQTT_TOPICS="a/+,b/#")
    assert connection.version == 5
    assert not connection.clean
    assert b"\x11" + (7 * 24 * 3600).to_bytes(4) in connection.properties
    assert b"\x21" + (123).to_bytes(2) in connection.properties
    # QoS 1, RetainHandling 2
    assert connection.topics == b"\0" + b"\0\x03a/+\x21" + b"\0\x03b/#\x21"


def test_it_speaks_3_1_1_where_the_address_says_so(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    start(MQTT_URL=broker.url + "?version=3.1.1")
    connection = broker.connection()
    assert (connection.version, connection.clean) == (4, False)
    connection.send(publish_frame(b"first", 1, retain=True) + publish_frame(b"second", 2))
    connection.wait_for_acks(1, 2)
    assert [(one.payload, one.retained) for one in messages(store)] == [(b"first", True), (b"second", False)]


def test_it_acknowledges_in_the_order_of_arrival(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    connection = connect(start, broker)
    order = [mid * 7919 % 3001 + 1 for mid in range(3000)]
    connection.send(b"".join(connection.frame(b"%d" % mid, mid) for mid in order))
    connection.wait_for_acks(*order)
    assert payloads(store) == [b"%d" % mid for mid in order]
    moments = [message.received_us for message in messages(store)]
    assert all(earlier < later for earlier, later in pairwise(moments))


def test_it_keeps_its_client_id(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    bridge = start(MQTT_URL=broker.url)
    first = broker.connection(0)
    bridge.kill()
    start(MQTT_URL=broker.url)
    other = start(MQTT_URL=broker.url, BRIDGE_NAME="other")
    broker.connection(2)
    ids = [connection.client_id for connection in broker.accepted]
    assert ids.count(first.client_id) == 2
    assert len(set(ids)) == 2
    assert other.process.poll() is None


def test_a_lone_message_leaves_at_once_and_a_burst_in_few_batches(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    connection = connect(start, broker)
    connection.send(b"".join(connection.frame(b"x" * 60, mid) for mid in range(1, 3001)))
    connection.wait_for_acks(*range(1, 3001))
    assert len(handed_over(store)) <= 30


def test_a_window_of_3_1_1_does_not_wait(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    """The embedded broker sends 100, and no more until they are acknowledged."""
    start(MQTT_URL=broker.url + "?version=3.1.1")
    connection = broker.connection()
    for window in range(20):
        mids = range(window * 100 + 1, window * 100 + 101)
        connection.send(b"".join(publish_frame(b"x", mid) for mid in mids))
        until(lambda: len(connection.acked) >= mids[-1], "the window")  # noqa: B023
    assert len(handed_over(store)) <= 40


def test_a_long_payload_is_cut_and_measured(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    from hashlib import sha256

    connection = connect(start, broker)
    payload = bytes(range(256)) * 1200
    connection.publish(payload, mid=1)
    connection.publish(b"next", mid=2)
    connection.wait_for_acks(1, 2)
    long, after = messages(store)
    assert (long.payload, long.length, long.digest) == (payload[:16384], 307_200, sha256(payload).digest())
    assert (after.payload, after.length) == (b"next", None)


def test_messages_at_qos_0_are_kept_too(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    connection = connect(start, broker)
    connection.send(connection.frame(b"a") + connection.frame(b"b", 1) + connection.frame(b"c"))
    connection.wait_for_acks(1)
    until(lambda: payloads(store) == [b"a", b"b", b"c"], "all three")
