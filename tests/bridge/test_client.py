"""The seam with paho: what we override and touch of it still is what we take it for."""

import select
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import paho.mqtt.client
import pytest
from scripted_broker import ScriptedBroker, publish_frame, until

import bridge.client
from bridge.address import MqttAddress
from bridge.client import BridgeClient
from bridge.frames import Publish
from bridge.tls import TlsFiles
from tests.certificates import self_signed


class Driver:
    """A BridgeClient and its loop, as the receiver turns it."""

    def __init__(self, url: str, version: str) -> None:
        self.said: list[object] = []
        self.found: list[Publish] = []
        address = MqttAddress.parse(url)
        self.client = BridgeClient(
            address,
            "a-client",
            version,
            100,
            TlsFiles().context() if address.tls else None,
            on_connected=lambda code, present: self.said.append(("connected", code, present)),
            on_refused=lambda code: self.said.append(("refused", code)),
            on_ended=lambda reason: self.said.append(("ended", reason)),
            on_subscribed=lambda answers: self.said.append(("subscribed", answers)),
        )
        self.client.open()

    def turn(self) -> None:
        sock = self.client.socket()
        if sock is None:
            return
        writes = [sock] if self.client.want_write() else []
        readable, writable, _ = select.select([sock], writes, [], 0.02)
        if writable:
            self.client.loop_write()
        if readable:
            self.found += self.client.read()
        self.client.loop_misc()

    def until(self, condition: Callable[[], object]) -> None:
        until(lambda: (self.turn(), condition())[1], f"the client; it said {self.said}")


@pytest.fixture
def drive() -> Iterator[Callable[[str, str], Driver]]:
    drivers: list[Driver] = []

    def drive(url: str, version: str) -> Driver:
        drivers.append(Driver(url, version))
        return drivers[-1]

    yield drive
    for driver in drivers:
        driver.client.disconnect()


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_it_works(drive: Callable[[str, str], Driver], broker: ScriptedBroker, version: str) -> None:
    driver = drive(broker.url, version)
    driver.until(lambda: driver.said)
    assert driver.said == [("connected", "0", False)]
    driver.client.ask_for(["a", "b"])
    driver.until(lambda: broker.accepted[0].subscribed.is_set())
    connection = broker.connection()
    connection.publish(b"one", 1)
    connection.publish(b"two", 2)
    driver.until(lambda: len(driver.found) == 2)
    driver.client.acknowledge([2, 1])
    driver.until(lambda: connection.acked == [2, 1])
    connection.break_off()
    driver.until(lambda: driver.client.socket() is None)
    assert driver.said[1:] == [("subscribed", {"a": "", "b": ""}), driver.said[-1]]
    assert driver.said[-1][0] == "ended"


def test_the_private_parts_are_there() -> None:
    """paho is pinned. Where this fails after a new version, read bridge/client.py beside paho's source."""
    assert paho.mqtt.__version__ == "2.2.0"
    client = paho.mqtt.client.Client(paho.mqtt.client.CallbackAPIVersion.VERSION2)
    assert client._ping_t == 0.0
    assert isinstance(client._last_bytes_received, float)
    assert callable(client._create_socket)
    assert callable(client._packet_queue)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_connection_on_which_only_messages_come_stays(
    drive: Callable[[str, str], Driver],
    broker: ScriptedBroker,
    version: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bridge.client, "KEEPALIVE_SECONDS", 1)
    driver = drive(broker.url, version)
    driver.until(lambda: driver.said)
    connection = broker.accepted[0]
    ends = time.monotonic() + 2.6
    while time.monotonic() < ends:
        connection.publish(b"x")
        driver.turn()
    assert len(driver.said) == 1
    assert connection.pings >= 1


def test_a_pingresp_may_be_late_while_messages_come(
    drive: Callable[[str, str], Driver], broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a flood it waits behind them, and paho sees none of them."""
    now = time.monotonic()
    monkeypatch.setattr(paho.mqtt.client, "time_func", lambda: now)
    monkeypatch.setattr(bridge.client, "time", SimpleNamespace(monotonic=lambda: now))
    driver = drive(broker.url, "5")
    driver.until(lambda: driver.said)
    connection = broker.accepted[0]
    frame = connection.frame(b"x")
    monkeypatch.setattr(connection, "send", lambda data: None)  # a PINGRESP
    for number in range(1, 8):
        now += 0.6 * bridge.client.KEEPALIVE_SECONDS
        connection.sock.sendall(frame)
        driver.until(lambda number=number: len(driver.found) == number or driver.client.socket() is None)
    until(lambda: connection.pings >= 2, "PINGREQs")
    assert len(driver.said) == 1


def test_a_connection_that_is_left_unread_stays(
    drive: Callable[[str, str], Driver], broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge.client, "KEEPALIVE_SECONDS", 1)
    driver = drive(broker.url, "5")
    driver.until(lambda: driver.said)
    ends = time.monotonic() + 30
    while broker.accepted[0].pings < 2 and time.monotonic() < ends:
        driver.client.leave_unread()
        driver.client.loop_misc()
        time.sleep(0.02)
    assert broker.accepted[0].pings >= 2
    assert len(driver.said) == 1
    broker.accepted[0].publish(b"x")
    driver.until(lambda: driver.found)


def test_a_broker_that_falls_silent_is_left(
    drive: Callable[[str, str], Driver], broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge.client, "KEEPALIVE_SECONDS", 1)
    driver = drive(broker.url, "5")
    driver.until(lambda: driver.said)
    broker.accepted[0].send = lambda data: None  # type: ignore[method-assign]
    driver.until(lambda: driver.client.socket() is None)
    assert driver.said[-1][0] == "ended"


@pytest.mark.parametrize("short", [False, True])
def test_mqtt_5_refused_is_told_as_such(drive: Callable[[str, str], Driver], short: bool) -> None:
    code = 1 if short else 0x84
    with ScriptedBroker(refuse={5: code}, short_refusals=short) as broker:
        driver = drive(broker.url, "5")
        driver.until(lambda: driver.client.socket() is None)
        refused = [said for said in driver.said if said[0] == "refused"]
        assert not refused or "version" in refused[0][1].lower()


def test_3_1_1_refused_ends_the_connection_and_makes_no_other(drive: Callable[[str, str], Driver]) -> None:
    """paho would try MQTT 3.1 by itself, from within the read."""
    with ScriptedBroker(refuse={4: 1, 3: 1}) as broker:
        driver = drive(broker.url, "3.1.1")
        driver.until(lambda: driver.client.socket() is None)
        assert len(broker.attempts) == 1
        assert not any(said[0] == "connected" for said in driver.said)


def test_tls(tmp_path: Path, drive: Callable[[str, str], Driver], monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are 16 KiB at most, and what TLS has decrypted already select does not show."""
    certificate, key = self_signed(tmp_path, "broker", "IP:127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ScriptedBroker(tls=context) as broker:
        driver = drive(broker.url, "5")
        driver.until(lambda: driver.said)
        connection = broker.accepted[0]
        stream = b"".join(publish_frame(b"x" * 5000, mid, properties=b"") for mid in range(1, 51))
        connection.send(stream)
        driver.until(lambda: len(driver.found) == 50)
        driver.client.acknowledge(range(1, 51))
        driver.until(lambda: len(connection.acked) == 50)
        assert {publish.payload for publish in driver.found} == {b"x" * 5000}
