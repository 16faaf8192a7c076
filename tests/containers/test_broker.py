"""The containers' broker in earnest: nobody enters without a password, and who may write and read what."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from runner.services import Broker

PROJECT = Path(__file__).parents[2]
SECONDS = 60
PASSWORD = '-correct horse\'s "battery" $taple'

pytestmark = pytest.mark.skipif(
    not shutil.which("mosquitto", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin"),
    reason="wants Mosquitto",
)


class ContainersBroker(Broker):
    """With the containers' settings and access list; its folders are the test's."""

    def _prepare(self) -> None:
        passwords = self.folder / "passwords"
        passwords.touch(mode=0o600)
        for user in ("bridge", "demo", "board-1", "board-2", "a/b", "+"):
            subprocess.run(["mosquitto_passwd", "-b", passwords, user, PASSWORD], check=True)
        shutil.copy(PROJECT / "deploy/mosquitto/acl", self.folder / "acl")
        text = (PROJECT / "deploy/mosquitto/mosquitto.conf").read_text()
        text = text.replace("listener 1883", f"listener {self.port} 127.0.0.1")
        text = text.replace("/mosquitto/users", str(self.folder)).replace("/mosquitto/data", str(self.folder))
        if os.geteuid() == 0:
            text += "user root\n"
        (self.folder / "mosquitto.conf").write_text(text)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainersBroker]:
    with ContainersBroker(tmp_path_factory.mktemp("broker"), binaries="system") as broker:
        yield broker


class User:
    """A client of MQTT 5, which is told of each message whether the broker took it."""

    def __init__(self, broker: Broker, name: str | None, password: str = PASSWORD) -> None:
        self.got: list[tuple[str, bytes]] = []
        #: How many messages the broker took.
        self.acknowledged = 0
        self._answered = threading.Event()
        self._answer = ReasonCode(PacketTypes.CONNACK)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = lambda client, data, flags, code, properties: self._is_answered(code)
        self._client.on_publish = lambda client, data, mid, code, properties: self._is_taken(code)
        self._client.on_subscribe = lambda client, data, mid, codes, properties: self._is_answered(codes[0])
        self._client.on_message = lambda client, data, message: self.got.append(
            (message.topic, message.payload)
        )
        if name is not None:
            self._client.username_pw_set(name, password)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        self.refused = str(self._wait()) if self._wait().is_failure else ""

    def _is_taken(self, code: ReasonCode) -> None:
        self.acknowledged += not code.is_failure
        self._is_answered(code)

    def _is_answered(self, code: ReasonCode) -> None:
        self._answer = code
        self._answered.set()

    def _wait(self) -> ReasonCode:
        assert self._answered.wait(SECONDS)
        return self._answer

    def may_write(self, topic: str, payload: bytes = b"x", retain: bool = False) -> bool:
        self._answered.clear()
        self._client.publish(topic, payload, qos=1, retain=retain)
        return not self._wait().is_failure

    def sends(self, topic: str, payload: bytes) -> None:
        """Without waiting for the answer, which is counted."""
        self._client.publish(topic, payload, qos=1)

    def listens(self, topic: str) -> None:
        self._answered.clear()
        self._client.subscribe(topic, qos=1)
        self._wait()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


Enter = Callable[..., User]


@pytest.fixture
def enter(broker: Broker) -> Iterator[Enter]:
    users: list[User] = []

    def enter(name: str | None, password: str = PASSWORD) -> User:
        users.append(User(broker, name, password))
        return users[-1]

    yield enter
    for user in users:
        user.close()


@pytest.mark.parametrize(
    ("name", "password"),
    [(None, ""), ("", ""), ("", PASSWORD), ("bridge", ""), ("bridge", "wrong"), ("board-1", PASSWORD + "x")],
)
def test_nobody_enters_without_a_password(enter: Enter, name: str | None, password: str) -> None:
    assert "Not authorized" in enter(name, password).refused


# deploy/add-device makes no user like the last two; here the broker is asked what it would do with them.
WRITES: dict[str, set[str]] = {
    "bridge": {"alerts", "alerts/board-1"},
    # Boards that share it say themselves whose status they tell.
    "demo": {"measurements", "status/bridge", "status/demo", "status/board-1", "status/board-2"},
    "board-1": {"board-1/measurements", "status/board-1"},
    "a/b": {"a/b/measurements", "status/a/b"},
    "+": set(),
}
TOPICS = [
    "measurements",
    "bridge/measurements",
    "demo/measurements",
    "board-1/measurements",
    "board-2/measurements",
    "board-1/measurements/more",
    "board-1",
    "status/measurements",
    "status/bridge",
    "status/demo",
    "status/board-1",
    "status/board-2",
    "a/b/measurements",
    "status/a/b",
    "alerts",
    "alerts/board-1",
    "x",
]


@pytest.mark.parametrize("name", WRITES)
def test_each_user_writes_its_own_topics_and_no_others(enter: Enter, name: str) -> None:
    user = enter(name)
    assert {topic for topic in TOPICS if user.may_write("iot/" + topic)} == WRITES[name]
    assert not user.may_write("other/measurements")
    assert not user.may_write("$SYS/broker/uptime")


def test_the_bridge_reads_measurements_and_statuses_and_nothing_else(enter: Enter) -> None:
    bridge, board, demo = enter("bridge"), enter("board-1"), enter("demo")
    bridge.listens("#")
    bridge.listens("$SYS/#")
    assert board.may_write("iot/status/board-1")
    assert demo.may_write("iot/status/board-2")
    assert board.may_write("iot/board-1/measurements", b"1")
    assert demo.may_write("iot/measurements", b"2")
    wait_for(lambda: ("iot/measurements", b"2") in bridge.got)
    read = {topic for topic, _ in bridge.got if topic != "$SYS/broker/uptime"}
    assert read == {
        *("iot/board-1/measurements", "iot/measurements"),
        *("iot/status/board-1", "iot/status/board-2"),
    }


@pytest.mark.parametrize("name", ["demo", "board-2"])
def test_boards_read_nothing_not_even_what_is_retained(enter: Enter, name: str) -> None:
    board, other, bridge = enter("board-1"), enter(name), enter("bridge")
    assert board.may_write("iot/board-1/measurements", b"kept", retain=True)
    assert board.may_write("iot/status/board-1", b"kept", retain=True)
    for topic in ("#", "iot/#", "iot/board-1/measurements", "iot/status/+", "$SYS/#", "$share/x/iot/#"):
        other.listens(topic)
    bridge.listens("iot/+/measurements")
    assert board.may_write("iot/board-1/measurements", b"new")
    # Both asked before it was sent; once the one has it, the other would have it too.
    wait_for(lambda: ("iot/board-1/measurements", b"new") in bridge.got)
    other.listens("x")
    assert other.got == []
    assert board.may_write("iot/board-1/measurements", b"", retain=True)


def test_a_board_reads_the_alerts_that_are_for_it_and_no_others(enter: Enter) -> None:
    bridge, board, other = enter("bridge"), enter("board-1"), enter("board-2")
    for user in (board, other):
        user.listens("iot/alerts/#")
    assert bridge.may_write("iot/alerts", b"for all who look at the broker itself")
    assert bridge.may_write("iot/alerts/board-2", b"another's")
    assert bridge.may_write("iot/alerts/board-1", b"its own")
    wait_for(lambda: bool(board.got and other.got))
    assert board.got == [("iot/alerts/board-1", b"its own")]
    assert other.got == [("iot/alerts/board-2", b"another's")]


def a_session(broker: Broker) -> mqtt.Client:
    """A client of the bridge's kind, before it connects: what waits for it is kept for an hour."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="a-bridge", protocol=mqtt.MQTTv5)
    client.username_pw_set("bridge", PASSWORD)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    client.connect("127.0.0.1", broker.port, clean_start=False, properties=properties)
    return client


def test_what_waits_for_the_bridge_is_kept(tmp_path: Path) -> None:
    """More than Mosquitto keeps by itself, and beyond a kill -9 of it."""
    payloads = {b"%d" % number for number in range(3000)}
    with ContainersBroker(tmp_path / "broker", binaries="system") as broker:
        subscribed = threading.Event()
        bridge = a_session(broker)
        bridge.on_subscribe = lambda *_: subscribed.set()
        bridge.loop_start()
        bridge.subscribe("iot/measurements", qos=1)
        assert subscribed.wait(SECONDS)
        bridge.disconnect()
        bridge.loop_stop()

        board = User(broker, "demo")
        for payload in payloads:
            board.sends("iot/measurements", payload)
        wait_for(lambda: board.acknowledged == len(payloads), "for PUBACKs", 3 * SECONDS)
        acknowledged_at = time.time()
        saved = tmp_path / "broker" / "mosquitto.db"
        wait_for(lambda: saved.exists() and saved.stat().st_mtime > acknowledged_at, "for it to save")
        broker.kill()
        board.close()
        broker.start()

        got: set[bytes] = set()
        bridge = a_session(broker)
        bridge.on_message = lambda client, data, message: got.add(message.payload)
        bridge.loop_start()
        wait_for(lambda: got == payloads, "for all that waited")
        bridge.disconnect()
        bridge.loop_stop()


def wait_for(condition: Callable[[], bool], what: str = "", seconds: int = SECONDS) -> None:
    for _ in range(seconds * 100):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"waited in vain {what}".rstrip())
