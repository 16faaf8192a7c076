"""The MicroPython firmware and its broker: what it says on the line, and what when the broker misbehaves."""

import json
import re
import ssl
from decimal import Decimal
from pathlib import Path

import pytest

from tests.certificates import self_signed
from tests.firmware.board import FIRMWARE, Board, run_script
from tests.firmware.scripted_broker import ScriptedBroker
from tests.journey.system import wait_for
from tests.runner.running import free_port


def test_it_works(tmp_path: Path) -> None:
    settings = {"MQTT_USER": "prénom", "MQTT_PASSWORD": "mot de passe", "MQTT_TOPIC": "école/mesures"}
    with ScriptedBroker() as broker, Board(tmp_path, broker.port, **settings) as board:
        messages = broker.wait_for_messages(9)
        wait_for(lambda: len(board.sent()) >= 9, "the acknowledgements in the log")

    hello = broker.connects[0]
    assert hello.will == ("iot/status/esp32-1", b"offline", 1, True)
    assert (hello.user, hello.password) == ("prénom", "mot de passe")
    # What every broker of MQTT 3.1.1 must take: 23 characters, letters and digits.
    assert re.fullmatch("240ac4000110[0-9a-f]{8}", hello.client_id)
    assert hello.clean
    assert hello.keepalive == 30, "as the other firmware: the README says when a board is offline"
    (status,) = broker.statuses
    assert (status.topic, status.payload, status.retained) == ("iot/status/esp32-1", b"online", True)
    assert {message.topic for message in messages} == {"école/mesures"}
    assert not any(message.retained or message.dup for message in messages)
    assert [json.loads(message.payload)["sensor_id"] for message in messages] == [1, 2, 3] * 3
    assert [json.loads(message.payload, parse_float=Decimal) for message in messages] == board.sent()[:9]


def test_it_says_online_again_and_again(tmp_path: Path) -> None:
    """The last will of a connection that broke unseen may come after the first one."""
    with ScriptedBroker() as broker:
        board = Board(tmp_path, broker.port)
        main = tmp_path / "main.py"
        assert main.read_text().count("ONLINE_SECONDS = 60\n") == 1
        main.write_text(main.read_text().replace("ONLINE_SECONDS = 60\n", "ONLINE_SECONDS = 0.2\n"))
        with board:
            wait_for(lambda: len(broker.statuses) >= 4, "the status again")
            at = len(broker.messages)
            broker.wait_for_messages(at + 6)
        assert len(broker.connects) == 1
        assert {(one.payload, one.retained) for one in broker.statuses} == {(b"online", True)}


def test_the_readme_shows_what_the_serial_monitor_shows(tmp_path: Path) -> None:
    page = (FIRMWARE.parent / "README.md").read_text()
    shown = re.search(r"<!-- serial of MicroPython -->\n```text\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    with ScriptedBroker() as broker:
        board = Board(tmp_path, broker.port, INTERVAL_SECONDS=5, MQTT_TOPIC="my-own-7f3a91/measurements")
        board.world(ntp="true", temperature=21.4, humidity=48.2, u16=1000 << 4 | 1000 >> 8)
        with board:
            wait_for(lambda: len(board.sent()) >= 3, "the first round")
            said = board.lines()

    def without_chance(lines: list[str]) -> list[str]:
        changing = (
            (r"micropython \d\S+", "micropython …"),
            (r"this board is \S+", "this board is …"),
            (r"connecting to \S+ as 240ac4000110[0-9a-f]{8}$", "connecting to … as …"),
            (r"time: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", "time: …"),
            (r"\d{10}\.\d{3}", "…"),
        )
        for pattern, instead in changing:
            lines = [re.sub(pattern, instead, line) for line in lines]
        return lines

    expected = without_chance(shown[1].splitlines())
    assert without_chance(said)[: len(expected)] == expected


def test_a_simulated_board_has_an_id_of_its_own_each_time_and_a_real_one_keeps_its_own(
    tmp_path: Path,
) -> None:
    def ids(ssid: str) -> list[str]:
        with ScriptedBroker() as broker:
            for place in ("first", "second"):
                folder = tmp_path / f"{ssid} {place}"
                folder.mkdir()
                with Board(folder, broker.port, WIFI_SSID=ssid):
                    connected = len(broker.connects)
                    wait_for(lambda seen=connected: len(broker.connects) > seen, "a connection")
            return [one.client_id for one in broker.connects]

    assert ids("at home") == ["240ac4000110"] * 2
    assert len(set(ids("Wokwi-GUEST"))) == 2


def test_what_is_not_acknowledged_is_sent_again_the_same(tmp_path: Path) -> None:
    with ScriptedBroker() as broker, Board(tmp_path, broker.port) as board:
        broker.wait_for_messages(3)
        wait_for(lambda: not board.waiting(), "an empty outbox")
        broker.acknowledging = False
        known = len(broker.messages)
        first = broker.wait_for_messages(known + 1)[-1]
        broker.break_off()
        wait_for(lambda: len(broker.connects) >= 2, "another connection")
        wait_for(lambda: any(one.connection == 1 for one in broker.messages), "the message")
        broker.acknowledging = True
        broker.break_off()
        wait_for(lambda: first.payload in payloads_of(board), "its acknowledgement")

    again = [one for one in broker.messages if one.payload == first.payload]
    assert [one.dup for one in again] == [False] + [True] * (len(again) - 1)
    assert len(again) >= 3
    assert len({one.packet_id for one in again}) == 1
    # In the order in which they were measured, and none is left out.
    stamps = [json.loads(payload)["ts"] for payload in payloads_of(board)]
    assert stamps == sorted(stamps)
    assert len(payloads_of(board)) == len(set(payloads_of(board)))


def payloads_of(board: Board) -> list[bytes]:
    lines = [line for line in board.lines() if line.startswith("sent ")]
    return [line[line.index("{") :].encode() for line in lines]


def test_a_reading_without_a_time_is_not_sent_again(tmp_path: Path) -> None:
    with ScriptedBroker() as broker:
        broker.acknowledging = False
        board = Board(tmp_path, broker.port)
        board.world(ntp=None)
        with board:
            lost = broker.wait_for_messages(1)[0]
            broker.break_off()
            wait_for(lambda: "readings that have no time" in board.log(), "what becomes of it")
            broker.acknowledging = True
            wait_for(lambda: len(payloads_of(board)) >= 6, "other readings")

    assert "ts" not in json.loads(lost.payload)
    assert not any(one.dup for one in broker.messages)


def test_acknowledgements_in_a_wrong_order_are_taken_as_well(tmp_path: Path) -> None:
    """MQTT forbids them. A board that refused them would get no further with such a broker."""
    with ScriptedBroker() as broker:
        broker.backwards = True
        with Board(tmp_path, broker.port) as board:
            wait_for(lambda: len(board.measured()) >= 6, "readings")
            measured = set(board.measured())
            wait_for(lambda: not board.waiting() & measured, "all of them")
            ids = [one["sensor_id"] for one in board.sent()]
            assert (3, 2, 1) in zip(ids, ids[1:], ids[2:], strict=False)


def test_an_acknowledgement_of_nothing_is_said(tmp_path: Path) -> None:
    with ScriptedBroker() as broker:
        broker.acknowledging = False
        with Board(tmp_path, broker.port) as board:
            broker.wait_for_messages(1)
            broker.say(b"\x40\2\x7f\xff")
            wait_for(lambda: "the broker acknowledged 32767, which" in board.log(), "the protest")
            broker.acknowledging = True
            wait_for(lambda: board.sent(), "what was sent in vain")


def test_a_full_memory_is_said_and_the_newest_goes_on(tmp_path: Path) -> None:
    with ScriptedBroker() as broker, Board(tmp_path, broker.port, KEEP_READINGS=6) as board:
        broker.wait_for_messages(1)
        broker.acknowledging = False
        wait_for(lambda: "the memory was full: the oldest" in board.log(), "a full memory")
        at = len(board.measured())
        wait_for(lambda: len(board.measured()) >= at + 9, "more readings")
        acknowledged = len(board.sent())
        broker.acknowledging = True
        broker.break_off()
        wait_for(lambda: len(board.sent()) >= acknowledged + 12, "the newest")
        assert int(board.log().split("the memory was full: the oldest ")[-1].split()[0]) >= 9
        assert board.sent()[-1]["ts"] > board.measured()[at].ts


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (1, "it does not speak MQTT 3.1.1"),
        (2, "it does not like the client id"),
        (3, "it is not ready"),
        (4, "wrong user or password: look at MQTT_USER and MQTT_PASSWORD"),
        (5, "it does not let this board in"),
        (134, "code 134"),
    ],
)
def test_a_refusal_is_said_with_what_to_do(tmp_path: Path, code: int, said: str) -> None:
    with ScriptedBroker(code=code) as broker, Board(tmp_path, broker.port) as board:
        wait_for(lambda: any("the broker refuses" in line and said in line for line in board.lines()), said)
        wait_for(lambda: len(broker.connects) >= 2, "another try")


def test_another_protocol_on_that_port_is_said(tmp_path: Path) -> None:
    greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n" + b" " * 200
    with ScriptedBroker(greeting=greeting) as broker, Board(tmp_path, broker.port) as board:
        wait_for(lambda: "does not speak MQTT: is MQTT_PORT right?" in board.log(), "the reason")


def test_nobody_on_that_port_is_said(tmp_path: Path) -> None:
    with Board(tmp_path, free_port()) as board:
        wait_for(lambda: "is the broker up, is MQTT_PORT right?" in board.log(), "the reason")


def test_an_unknown_name_is_said(tmp_path: Path) -> None:
    with Board(tmp_path, 1883, MQTT_HOST="broker.invalid") as board:
        wait_for(lambda: "the name MQTT_HOST is not known" in board.log(), "the reason")


def test_no_network_is_said(tmp_path: Path) -> None:
    script = """
import asyncio, wifi
wifi.JOIN_SECONDS = 0.1
async def main():
    for _ in range(2):
        try:
            await wifi.Wifi("at home", "secret").join()
        except wifi.WifiError as error:
            print(error)
asyncio.run(main())
"""
    world = tmp_path / "world.json"
    for status, said in (
        (201, "there is no at home here: is WIFI_SSID right, is it 2.4 GHz?"),
        (2, "at home does not let this board in: is WIFI_PASSWORD right?"),
        (15, "at home does not let this board in: is WIFI_PASSWORD right?"),
        (202, "at home does not let this board in: is WIFI_PASSWORD right?"),
        (204, "at home does not let this board in: is WIFI_PASSWORD right?"),
        (200, "at home is too weak: move the board closer to the access point"),
        (211, "at home has another security than expected: is WIFI_PASSWORD set, is it WPA2?"),
        (1001, "no answer from at home in 0 s (status 1001): does it give out addresses (DHCP)?"),
        (39, "not in at home after 0 s (status 39, ESP-IDF's Wi-Fi reason code)"),
    ):
        world.write_text(json.dumps({"wifi": False, "wifi_status": status}))
        assert run_script(script, world).splitlines() == ["Wi-Fi: joining at home", said] * 2


def test_the_network_goes_and_comes_back(tmp_path: Path) -> None:
    with ScriptedBroker() as broker, Board(tmp_path, broker.port) as board:
        broker.wait_for_messages(3)
        wait_for(board.measured, "a reading")
        board.world(ntp="true", wifi=False)
        wait_for(lambda: "Wi-Fi: the connection is lost" in board.log(), "the loss")
        at = len(board.measured())
        wait_for(lambda: len(board.measured()) >= at + 6, "readings meanwhile")
        assert len(board.waiting()) >= 6
        board.world(ntp="true")
        measured = set(board.measured())
        wait_for(lambda: not board.waiting() & measured, "what was kept")
        assert len(broker.connects) == 2


def certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate for localhost that is its own authority."""
    certificate, key = self_signed(folder, name, "DNS:localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


def test_tls(tmp_path: Path) -> None:
    ca, context = certificate(tmp_path, "ours")
    other, _ = certificate(tmp_path, "another")
    with ScriptedBroker(tls=context) as broker:
        for name, checked in (
            ("good", {"MQTT_CA_FILE": str(ca)}),
            ("unchecked", {"MQTT_TLS_INSECURE": True}),
        ):
            (tmp_path / name).mkdir()
            before = len(broker.messages)
            with Board(
                tmp_path / name, broker.port, MQTT_HOST="localhost", MQTT_TLS=True, **checked
            ) as board:
                broker.wait_for_messages(before + 6)
                assert ("goes unchecked" in board.log()) is (name == "unchecked")

        (tmp_path / "bad").mkdir()
        hellos = len(broker.connects)
        wrong = Board(
            tmp_path / "bad", broker.port, MQTT_HOST="localhost", MQTT_TLS=True, MQTT_CA_FILE=str(other)
        )
        with wrong as board:
            wait_for(
                lambda: "the broker's certificate is refused: does MQTT_CA_FILE fit?" in board.log(),
                "the refusal of the certificate",
            )
            assert len(broker.connects) == hellos


@pytest.mark.parametrize(
    ("error", "said"),
    [
        # As a board says it; on a computer it is a ValueError.
        ('OSError(-9984, "MBEDTLS_ERR_X509_CERT_VERIFY_FAILED")', "the broker's certificate is refused"),
        ('OSError(-30592, "MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE")', "is MQTT_PORT one for TLS"),
        ("OSError(-202)", "the name MQTT_HOST is not known"),
        ("OSError(113)", "MQTT_HOST cannot be reached (EHOSTUNREACH)"),
    ],
)
def test_what_the_network_says_is_explained(error: str, said: str) -> None:
    assert said in run_script(f"import mqtt\nprint(mqtt.why({error}))")


def test_a_silent_broker_does_not_hold_it_up() -> None:
    """Nothing waits for ever: connecting, an acknowledgement, an answer to a ping."""
    port = free_port()
    script = f"""
import asyncio, mqtt, socket
server = socket.socket()
server.bind(socket.getaddrinfo("127.0.0.1", {port})[0][-1])
server.listen(1)
async def main():
    client = mqtt.Client("127.0.0.1", {port}, "me", timeout=0.1)
    try:
        await client.connect()
    except asyncio.TimeoutError as error:
        print(mqtt.why(error))
    for wait in (client.acknowledged, client.ping):
        try:
            await wait()
        except asyncio.TimeoutError:
            print("in time")
    await client.close()
asyncio.run(main())
"""
    assert run_script(script).splitlines() == [
        "no answer in time: is MQTT_HOST right, does a firewall stand between?",
        "in time",
        "in time",
    ]


def test_a_ping_is_answered() -> None:
    with ScriptedBroker() as broker:
        script = f"""
import asyncio, mqtt
async def main():
    client = mqtt.Client("127.0.0.1", {broker.port}, "me")
    await client.connect()
    await client.ping()
    print("answered")
    await client.close()
asyncio.run(main())
"""
        assert run_script(script) == "answered\n"
        assert broker.pings == 1
        assert broker.connects[0].will is None
