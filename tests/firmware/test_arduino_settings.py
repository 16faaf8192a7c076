"""How the Arduino sketch presents itself, and what its settings do."""

import itertools
import re
import subprocess
from pathlib import Path

import pytest

from tests.firmware.sketch import CERTIFICATE, NOON, PROJECT, STUBS, Board, Build, compile_cpp, of_the_sketch

pytestmark = of_the_sketch

# --- how it presents itself ----------------------------------------------------------------------


def test_it_says_online_and_leaves_a_last_will(board: Board) -> None:
    run = board("run 130000")

    assert [event.fields for event in run.of("will")] == [["iot/status/esp32-1", "offline", "1", "1"]]
    status = [sent for sent in run.published if sent.topic == "iot/status/esp32-1"]
    assert status[0] == run.published[0]
    assert [(sent.payload, sent.retained) for sent in status] == [("online", True)] * 3


def test_it_asks_for_a_keep_alive(board: Board) -> None:
    """The embedded broker throws out who asks for none."""
    [event] = board("run 10").of("options")
    keep_alive, clean_session, _ = event.fields

    assert 10 <= int(keep_alive) <= 120
    assert clean_session == "1"


def test_its_client_id_is_the_chips_and_in_the_simulator_the_starts(board: Board) -> None:
    def client_id(**settings: object) -> str:
        return board("mac 563412c40a24", "run 1000", **settings).of("connect")[0].fields[0]

    # What every broker of MQTT 3.1.1 must take: 23 characters, letters and digits.
    assert re.fullmatch(r"240ac4123456[0-9a-f]{8}", client_id())
    assert client_id(WIFI_SSID='"home"', WIFI_CHANNEL=0) == "240ac4123456"


def test_the_led_is_steady_while_the_broker_has_it(board: Board) -> None:
    run = board("broker 0", "run 20000", "broker 1", "run 60000")

    connected = next(event.at for event in run.of("publish"))
    blinks = [event.at for event in run.of("pin") if event.at < connected]
    assert len(blinks) > 10
    assert [event.fields for event in run.of("pin") if event.at > connected + 100] in ([], [["2", "1"]])


def test_the_led_blinks_quickly_without_wifi_and_slowly_without_the_broker(board: Board) -> None:
    def pause(*orders: str) -> int:
        blinks = [event.at for event in board(*orders, "run 20000").of("pin") if event.at > 1000]
        pauses = sorted(later - earlier for earlier, later in itertools.pairwise(blinks))
        return pauses[len(pauses) // 2]

    assert pause("access_point mute") == 100
    assert pause("refusal 5") == 500


def test_user_password_and_tls_come_from_the_settings(board: Board) -> None:
    run = board(
        "run 1000",
        MQTT_HOST='"mqtt.example.org"',
        MQTT_PORT=8883,
        MQTT_USER='"demo"',
        MQTT_PASSWORD='"secret"',
        MQTT_TLS=1,
        PEM=CERTIFICATE,
    )

    assert [event.fields for event in run.of("broker")] == [["mqtt.example.org", "8883"]]
    assert [event.fields[1:] for event in run.of("connect")] == [["demo", "secret"]]
    assert [event.fields for event in run.of("tls")] == [
        ["ca", str(len(CERTIFICATE) + 2)],
        ["connection", "5000"],
        ["handshake", "15"],
    ]
    assert "secret" not in run.serial


def test_it_compiles_for_the_older_core_too(build: Build, tmp_path: Path) -> None:
    """Where WiFiClientSecure has its time limit under another name, and in seconds."""
    errors, program = build(MQTT_TLS=1, PEM=CERTIFICATE)
    assert errors == ""

    folders = ("-I", program.parent, "-I", STUBS)
    older = compile_cpp(
        STUBS / "run_sketch.cpp",
        tmp_path / "board",
        "-std=gnu++20",
        "-DESP_ARDUINO_VERSION_MAJOR=2",
        *folders,
    )
    assert older.stderr == ""
    done = subprocess.run([tmp_path / "board"], input="run 10", capture_output=True, text=True)
    assert "tls\tconnection\t5000" in done.stdout


def test_a_certificate_goes_unchecked_only_where_that_is_said(board: Board) -> None:
    run = board("run 1000", MQTT_TLS=1, MQTT_TLS_INSECURE=1)

    assert ["insecure"] in [event.fields for event in run.of("tls")]
    assert "the broker's certificate is not checked" in run.serial


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"MQTT_TLS": 1}, "MQTT_TLS 1 needs MQTT_CA_CERTIFICATE"),
        ({"PIN_LIGHT": 4}, "ADC2 does not work beside Wi-Fi"),
        ({"INTERVAL_SECONDS": 1}, "a DHT22 takes 2 seconds"),
        ({"MQTT_TOPIC": '""'}, "MQTT_TOPIC: 1 to 199 characters"),
        ({"MQTT_TOPIC": '"iot/#"'}, "MQTT_TOPIC: 1 to 199 characters, without # and +"),
        ({"MQTT_STATUS_TOPIC": '""'}, "MQTT_STATUS_TOPIC: 1 to 199 characters"),
        ({"BOARD_NAME": '"my+board"'}, "MQTT_STATUS_TOPIC: 1 to 199 characters, without # and +"),
        ({"KEEP_READINGS": 0}, "KEEP_READINGS: 3 at least"),
    ],
)
def test_settings_that_cannot_work_do_not_compile(
    build: Build, settings: dict[str, object], says: str
) -> None:
    errors, _ = build(**settings)

    assert says in errors


def test_it_says_which_settings_it_has(board: Board) -> None:
    assert "settings from settings_example.h: copy it to settings.h" in board("run 10").serial
    assert "settings from settings.h" in board("run 10", KEEP_READINGS=9).serial


def test_the_readme_shows_what_the_serial_monitor_shows(board: Board) -> None:
    page = (PROJECT / "firmware" / "README.md").read_text()
    shown = re.search(r"<!-- serial -->\n```text\n(.*?)```", page, re.DOTALL)
    assert shown is not None

    orders = ("run 1200", f"time {NOON}", "run 5000")
    run = board(*orders, MQTT_TOPIC='"my-own-7f3a91/measurements"')

    def without_chance(text: str) -> str:
        return re.sub(r"(?<= as 240ac4000110)[0-9a-f]{8}$", "…", text.strip(), flags=re.MULTILINE)

    assert without_chance(shown[1]) == without_chance(run.serial)
