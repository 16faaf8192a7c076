"""`manage.py simulate` against the embedded broker, with a plain subscriber beside it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from django.core.management import CommandError, call_command
from paho.mqtt.enums import CallbackAPIVersion

from bridge.address import MqttAddress
from monitoring.decoders import Reading, decode
from monitoring.management.commands import simulate as command
from monitoring.models import Sensor
from monitoring.simulator import sender, simulation
from runner import ports
from runner.services import Broker

PROJECT = Path(__file__).resolve().parents[2]
TOPIC = "iot/measurements"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("simulator") / "mqtt") as broker:
        yield broker


class Subscriber:
    """What arrives."""

    def __init__(self, broker: Broker, topic: str = TOPIC) -> None:
        self.payloads: list[bytes] = []
        subscribed = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self.client.on_connect = lambda *_: self.client.subscribe(topic, qos=1)
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.on_message = lambda client, userdata, message: self.payloads.append(message.payload)
        address = MqttAddress.parse(broker.url)
        self.client.connect(address.host, address.port)
        self.client.loop_start()
        assert subscribed.wait(30)

    def wait(self, count: int, seconds: float = 30) -> list[bytes]:
        until = time.monotonic() + seconds
        while len(self.payloads) < count and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.1)  # nor does more arrive
        return self.payloads

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def subscriber(broker: Broker) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker)
    yield subscriber
    subscriber.close()


@pytest.fixture(autouse=True)
def environment(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_URL", broker.url)
    monkeypatch.delenv("MQTT_TOPICS", raising=False)


def simulate(*flags: str) -> str:
    out = StringIO()
    call_command("simulate", *flags, stdout=out)
    return out.getvalue()


def number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found, text
    return int(found[1].replace(",", ""))


def test_it_works(subscriber: Subscriber) -> None:
    text = simulate("--rate", "20", "--messages", "30")
    assert number(r"sent (\S+) messages", text) == number(r"(\S+) acknowledged", text) == 30
    rows = [json.loads(payload) for payload in subscriber.wait(30)]
    assert Counter(row["sensor_id"] for row in rows) == {1: 10, 2: 10, 3: 10}
    assert all(list(row) == ["sensor_id", "type", "value", "unit"] for row in rows)
    assert "must exist" not in text


def test_what_the_summary_says_is_what_arrived(subscriber: Subscriber) -> None:
    text = simulate(
        "--boards", "60", "--rate", "50", "--messages", "4000", "--faults", "duplicates,late,garbage"
    )
    payloads = subscriber.wait(4000)
    assert len(payloads) == number(r"(\S+) acknowledged", text) == 4000
    assert number(r"garbage: (\S+)", text) == sum(
        not isinstance(item, Reading) for payload in payloads for item in decode(payload)
    )
    readings = [payload for payload in payloads if isinstance(next(iter(decode(payload))), Reading)]
    assert number(r"(\S+) duplicate", text) == len(readings) - len(set(readings)) > 0
    assert number(r"(\S+) good", text) + number(r"(\S+) late", text) == len(set(readings))
    assert number(r"(\S+) late", text) > 0
    assert "sensors 1 to 180 must exist" in text


def test_the_rate_is_not_exceeded(subscriber: Subscriber) -> None:
    """That it is reached, whatever stalls: test_simulation.py, by a clock of its own."""
    text = simulate("--boards", "2", "--rate", "50", "--messages", "300")
    took = re.search(r"messages in (\S+) s", text)
    assert took is not None, text
    assert float(took[1]) >= 0.9


def test_the_default_rate_is_a_message_a_sensor_every_two_seconds() -> None:
    text = simulate("--duration", "3.8")
    assert number(r"sent (\S+) messages", text) == 6


def test_topic_and_url_from_flags(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_URL", "mqtt://127.0.0.1:1")
    subscriber = Subscriber(broker, "somewhere/else")
    simulate("--url", broker.url, "--topic", "somewhere/else", "--messages", "3", "--rate", "100", "--ts")
    assert [json.loads(p)["sensor_id"] for p in subscriber.wait(3)] == [1, 2, 3]
    assert "ts" in json.loads(subscriber.payloads[0])
    subscriber.close()


def test_qos_0_says_that_nothing_is_acknowledged(subscriber: Subscriber) -> None:
    text = simulate("--messages", "30", "--rate", "100", "--qos", "0")
    assert len(subscriber.wait(30)) == 30
    assert "unacknowledged" in text


def test_ts_is_on_where_faults_need_it(subscriber: Subscriber) -> None:
    simulate("--messages", "3", "--rate", "100", "--faults", "duplicates")
    assert all("ts" in json.loads(payload) for payload in subscriber.wait(3))


@pytest.mark.django_db
def test_register_makes_the_sensors_that_are_missing() -> None:
    Sensor.objects.register([Sensor(id=2, name="mine", kind="humidity", unit="%")])
    text = simulate("--boards", "2", "--messages", "6", "--rate", "100", "--register")
    made = Sensor.objects.values_list("id", "kind", "unit")
    assert list(made) == [
        (1, "temperature", "°C"),
        (2, "humidity", "%"),
        (3, "light", "V"),
        (4, "temperature", "°C"),
        (5, "humidity", "%"),
        (6, "light", "V"),
    ]
    assert Sensor.objects.get(id=2).name == "mine"
    assert "must exist" not in text


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--faults", "fire"], "no such fault: fire; there are duplicates, late, garbage"),
        (["--faults", "late", "--no-ts"], "late messages need ts"),
        (["--boards", "0"], "0 is not a whole number from 1 to 10000"),
        (["--rate", "0"], "0 is not above 0"),
        (["--rate", "nan"], "nan is not above 0"),
        (["--duration", "soon"], "soon is not a number"),
        (["--messages", "-1"], "-1 is not a whole number"),
        (["--qos", "2"], "invalid choice: 2"),
        (["--topic", "iot/#"], "has a wildcard"),
        (["--topic", "iot/+/x"], "has a wildcard"),
        (["--topic", "$share/us/iot"], "cannot be published on"),
        (["--url", "http://x"], "not an address: mqtt://user:password@host:1883"),
    ],
)
def test_wrong_flags_are_one_clear_line(flags: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=re.escape(says)) as raised:
        simulate(*flags)
    assert "\n" not in str(raised.value)


def test_no_url_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MQTT_URL")
    with pytest.raises(CommandError, match="MQTT_URL is not set"):
        simulate("--messages", "3")


def test_the_first_topic_is_taken(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_TOPICS", "one/topic, iot/#")
    subscriber = Subscriber(broker, "one/topic")
    simulate("--messages", "3", "--rate", "100")
    assert len(subscriber.wait(3)) == 3
    subscriber.close()
    monkeypatch.setenv("MQTT_TOPICS", "iot/#")
    with pytest.raises(CommandError, match="wildcard"):
        simulate("--messages", "3")


def test_a_finite_run_gives_up_on_a_broker_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "REACH_SECONDS", 1.2)
    out = StringIO()
    url = f"mqtt://someone:secret@127.0.0.1:{ports.choose()}"
    with pytest.raises(CommandError, match=r"cannot be reached: .*[Rr]efused"):
        call_command("simulate", "--url", url, "--messages", "3", stdout=out)
    assert out.getvalue().count("trying again") == 1
    assert "secret" not in out.getvalue()


def start(*flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "simulate", *flags],
        cwd=PROJECT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_one_line_that_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "TTY_SECONDS", 0.2)
    out = Terminal()
    call_command("simulate", "--rate", "50", "--duration", "1", stdout=out)
    before, after = out.getvalue().split("\r", 1)
    assert before.endswith("\n")
    assert after.count("\r") >= 2
    assert after.index("\n") < after.index("sent ")


def test_a_log_sees_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LOG_SECONDS", 0.3)
    text = simulate("--rate", "50", "--duration", "1")
    line = r"^[-\d]{10} [:\d]{8}\+00:00 INFO    \d+ sent, \d+ acknowledged, [\d.]+/s$"
    assert 1 <= len(re.findall(line, text, re.M)) <= 4


def test_a_broker_that_accepts_and_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(simulation, "REACH_SECONDS", 1.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mqtt://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(CommandError, match="no answer to CONNECT"):
            simulate("--messages", "3", "--url", url)


@pytest.mark.parametrize("number_of", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_its_summary(number_of: signal.Signals, subscriber: Subscriber) -> None:
    process = start("--rate", "100")
    subscriber.wait(50)
    process.send_signal(number_of)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
    assert "Traceback" not in text
    sent = number(r"sent (\S+) messages", text)
    assert sent == number(r"(\S+) acknowledged", text) == len(subscriber.wait(sent))


def test_a_broker_that_comes_late_and_goes_away_is_waited_for(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "mqtt", ports.choose())
    process = start("--rate", "50", "--url", broker.url)
    assert process.stdout
    lines = iter(process.stdout.readline, "")
    try:
        next(line for line in lines if "trying again" in line)
        with broker:
            next(line for line in lines if "connected to" in line)
        next(line for line in lines if "trying again" in line)
        with broker:
            next(line for line in lines if "connected again to" in line)
            process.send_signal(signal.SIGTERM)
            text = process.communicate(timeout=60)[0]
    finally:
        process.kill()
    assert process.returncode == 0, text
    assert number(r"(\S+) reconnections", text) == 1
    assert number(r"sent (\S+) messages", text) == number(r"(\S+) acknowledged", text)
