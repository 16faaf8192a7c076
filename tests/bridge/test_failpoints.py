"""The bridge is killed at each step, the broker sends again what was not acknowledged: all is there once."""

import os
from pathlib import Path

import paho.mqtt.publish
import pytest
from bridge_process import Start, payloads
from scripted_broker import PersistentBroker, until

from batches.store import BatchStore
from runner.services import Broker

STEPS = [
    "bridge.received",
    "bridge.before_hand_over",
    "bridge.handed_over",
    "bridge.before_ack",
    "bridge.acked",
]


@pytest.mark.parametrize("step", STEPS)
def test_killed_at(step: str, start: Start, persistent_broker: PersistentBroker, store: BatchStore) -> None:
    bridge = start(MQTT_URL=persistent_broker.url, FAILPOINTS=f"{step}=kill@2")
    persistent_broker.connection(0)
    wanted = [b"%d" % number for number in range(300)]
    for payload in wanted[:100]:
        persistent_broker.queue(payload)
    until(lambda: len(payloads(store)) > 0 or bridge.process.poll() is not None, "a first batch")
    for payload in wanted[100:]:
        persistent_broker.queue(payload)
    assert bridge.wait_for_exit() == -9
    start(MQTT_URL=persistent_broker.url)
    until(lambda: not persistent_broker.unacknowledged, "all to be acknowledged")
    assert payloads(store) == wanted
    assert store.figures().handed_over == 300


# The embedded broker sends again under other packet ids and without DUP, so nothing can recognise it; a
# machine without Mosquitto has the scripted broker above. CI runs this one, with Debian's services.
@pytest.mark.skipif(
    os.environ.get("SERVICES_FROM") != "system", reason="wants Mosquitto: SERVICES_FROM=system"
)
@pytest.mark.parametrize("step", ["bridge.handed_over", "bridge.before_ack"])
def test_killed_at_with_mosquitto(step: str, start: Start, store: BatchStore, mosquitto: Broker) -> None:
    bridge = start(MQTT_URL=mosquitto.url, FAILPOINTS=f"{step}=kill@2")
    bridge.wait_for_line("MQTT connected")
    wanted = [b"%d" % number for number in range(200)]
    publish(mosquitto, wanted)
    assert bridge.wait_for_exit() == -9
    start(MQTT_URL=mosquitto.url)
    until(lambda: len(payloads(store)) >= len(wanted), "all of them")
    assert sorted(payloads(store)) == sorted(wanted)
    publish(mosquitto, [b"last"])  # nothing comes after it
    until(lambda: b"last" in payloads(store), "the last")
    assert len(payloads(store)) == len(wanted) + 1


def publish(broker: Broker, payloads: list[bytes]) -> None:
    paho.mqtt.publish.multiple(
        [("iot/measurements", payload, 1, False) for payload in payloads],
        hostname="127.0.0.1",
        port=broker.port,
    )


def test_an_exception_that_nobody_expects_ends_the_process(
    start: Start, persistent_broker: PersistentBroker, store: BatchStore
) -> None:
    """A bridge that receives and hands nothing over would look alive."""
    bridge = start(MQTT_URL=persistent_broker.url, FAILPOINTS="bridge.before_hand_over=raise")
    persistent_broker.queue(b"one")
    assert bridge.wait_for_exit() not in (0, 2, 3)
    assert "FailpointError" in bridge.output
    start(MQTT_URL=persistent_broker.url)
    until(lambda: not persistent_broker.unacknowledged, "the acknowledgement")
    assert payloads(store) == [b"one"]


@pytest.fixture
def mosquitto(tmp_path: Path):
    with Broker(tmp_path / "mosquitto", binaries="system") as broker:
        yield broker
