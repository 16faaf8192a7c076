"""A bridge says since when its broker serves it, so that nobody else is blamed for what it did not hear."""

from bridge_process import Start
from scripted_broker import ScriptedBroker, until

from batches.names import Names, Serving
from batches.store import BatchStore


def serving(store: BatchStore) -> Serving:
    found = Names(store.redis).serving("default")
    assert found is not None
    return found


def test_it_works(start: Start, store: BatchStore) -> None:
    names = Names(store.redis)
    assert names.serving("default") is None
    with ScriptedBroker() as broker:
        start(MQTT_URL=broker.url)
        connection = broker.connection()
        until(lambda: names.serving("default"), "its saying so")
        first = serving(store)
        assert first.before is None
        assert first.since <= first.until
        until(lambda: serving(store).until > first.until, "its next word")
        assert serving(store).since == first.since
        connection.break_off()
        until(lambda: serving(store).since != first.since, "its being served again")
        again = serving(store)
        assert again.before is not None
        assert first.until <= again.before <= again.since


def test_while_it_has_no_broker_it_says_nothing(start: Start, store: BatchStore) -> None:
    with ScriptedBroker() as broker:
        bridge = start(MQTT_URL=broker.url)
        broker.connection()
        until(lambda: Names(store.redis).serving("default"), "its saying so")
    bridge.wait_for_line("no broker at")
    last = serving(store).until
    # Its heartbeat goes on.
    store.redis.delete("iot:heartbeat:bridge")
    until(lambda: store.redis.exists("iot:heartbeat:bridge"), "its heartbeat")
    assert serving(store).until == last
