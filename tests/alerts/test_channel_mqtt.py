"""Alerts on a topic of the broker's."""

import json
import os
import queue
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt import subscribe
from paho.mqtt.enums import CallbackAPIVersion

from monitoring.alerts import channels
from monitoring.alerts.channels import NotSentError
from runner.services import Broker
from tests.alerts.conftest import KEY, MESSAGE

HAS_MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
wants_mosquitto = pytest.mark.skipif(not HAS_MOSQUITTO, reason="wants Mosquitto")


@pytest.fixture(scope="module", params=["wheels", pytest.param("system", marks=wants_mosquitto)])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The embedded one, which speaks MQTT 3.1.1, and Mosquitto, which speaks 5 too."""
    with Broker(tmp_path_factory.mktemp("broker"), binaries=request.param) as broker:
        yield broker


@pytest.mark.parametrize("version", ["", "?version=3.1.1", "?version=5"])
def test_the_broker_has_it_when_it_counts_as_sent(version: str, broker: Broker, settings: Any) -> None:
    settings.MQTT_URL = broker.url + version
    if version == "?version=5" and broker.binaries == "wheels":
        with pytest.raises(NotSentError, match="ended the connection"):
            channels.send("mqtt", {"topic": "iot/alerts", "retained": False}, MESSAGE, KEY)
        return
    came: queue.Queue[paho.MQTTMessage] = queue.Queue()
    ready = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    client.on_message = lambda client, userdata, message: came.put(message)
    client.on_subscribe = lambda *args: ready.set()
    client.connect("127.0.0.1", broker.port)
    client.subscribe("iot/alerts", 1)
    client.loop_start()
    try:
        assert ready.wait(30)
        channels.send("mqtt", channels.check("mqtt", {"topic": "iot/alerts"}), MESSAGE, KEY)
        message = came.get(timeout=30)
        assert (json.loads(message.payload), message.retain) == (MESSAGE.payload, False)
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_retained_message_is_there_for_who_comes_later(broker: Broker, settings: Any) -> None:
    settings.MQTT_URL = broker.url
    channels.send("mqtt", channels.check("mqtt", {"topic": "kept/alerts", "retained": True}), MESSAGE, KEY)
    found = subscribe.simple("kept/alerts", hostname="127.0.0.1", port=broker.port)
    assert isinstance(found, paho.MQTTMessage)
    assert (json.loads(found.payload), found.retain) == (MESSAGE.payload, True)


def test_a_broker_that_is_down_is_tried_again(settings: Any) -> None:
    settings.MQTT_URL = "mqtt://127.0.0.1:9"
    with pytest.raises(NotSentError) as raised:
        channels.send("mqtt", {"topic": "iot/alerts", "retained": False}, MESSAGE, KEY)
    assert raised.value.why
    assert not raised.value.for_good
