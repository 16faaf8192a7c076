"""The firmware's modules one by one, on the MicroPython interpreter."""

import ast
import json
import subprocess
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from monitoring.decoders import Reading, check, decode
from monitoring.decoders.json.examples import ExampleSensor, load
from monitoring.simulator.boards import probes
from tests.firmware.board import FIRMWARE, MICROPYTHON, STUBS, Board, environment, run_script
from tests.firmware.pipeline import seconds
from tests.journey.system import wait_for

# What an ESP32's image has of MicroPython's modules, of those that might be wanted here.
ON_THE_BOARD = {
    *("asyncio", "binascii", "dht", "errno", "gc", "machine", "network", "ntptime", "os", "random", "ssl"),
    *("struct", "sys", "time"),
}


def payloads(*readings: tuple[int, str, str, int, int, int | None]) -> list[bytes]:
    """What the firmware makes of (sensor, kind, unit, thousandths, decimals, ms)."""
    script = """
import sys
from outbox import digits, payload
for sensor, kind, unit, thousandths, decimals, ms in %r:
    print(payload(sensor, kind, unit, digits(thousandths, decimals), ms).decode())
"""
    return [line.encode() for line in run_script(script % list(readings)).splitlines()]


def test_the_examples_of_the_decoders_as_the_firmware_writes_them() -> None:
    """Of every example that is taken: what it says, in the firmware's words, is decoded to the same."""
    examples = [one for one in load() if len(one.readings) == 1 and not one.rejected]
    wanted, written = [], []
    for reading in (one.readings[0] for one in examples):
        value = Decimal(str(reading.value)) * 1000
        ms = seconds(reading.ts) * 1000 if reading.ts else None
        if value != int(value) or abs(value) >= 2**31 or (ms is not None and ms != int(ms)):
            continue  # finer than the firmware measures, or nothing that it measures
        if reading.kind is None or reading.unit is None:
            continue  # it always says both
        wanted.append(reading)
        whole = int(ms) if ms is not None else None
        written.append((reading.sensor_id, reading.kind, reading.unit, int(value), 3, whole))
    assert len(wanted) >= 3

    assert [decode(payload) for payload in payloads(*written)] == [[reading] for reading in wanted]


def test_the_first_payload_of_the_readme() -> None:
    (written,) = payloads((3, "light", "V", 2570, 2, None))
    assert written == b'{"sensor_id": 3, "type": "light", "value": 2.57, "unit": "V"}'


@pytest.mark.parametrize("ms", [None, 1769612875123, 1769612875000, 1769612875007, 4102444799999])
def test_payloads_are_accepted_by_the_sensors_of_make_run(ms: int | None) -> None:
    values = [(21500, 1), (40200, 1), (2570, 3)]
    written = payloads(
        *(
            (one.sensor_id, one.kind, one.unit, *value, ms)
            for one, value in zip(probes(0), values, strict=True)
        )
    )
    received = datetime.fromtimestamp((ms or 1769612875123) / 1000 + 1, UTC)
    for payload, probe, value in zip(written, probes(0), (21.5, 40.2, 2.57), strict=True):
        (reading,) = decode(payload)
        assert isinstance(reading, Reading)
        assert reading.value == value
        sensor = ExampleSensor(probe.sensor_id, probe.kind, probe.unit, is_active=True)
        assert check(reading, sensor, received, False, datetime(2020, 1, 1, tzinfo=UTC)) is None
        assert (seconds(reading.ts) if reading.ts else None) == (Decimal(ms) / 1000 if ms else None)


def test_main_names_the_sensors_as_make_run_makes_them() -> None:
    tree = ast.parse((FIRMWARE / "main.py").read_text())
    (kinds,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "KINDS"
    ]
    assert [kind[:2] for kind in kinds] == [(one.kind, one.unit) for one in probes(0)]
    example = (FIRMWARE / "settings_example.py").read_text()
    for name, probe in zip(("TEMPERATURE", "HUMIDITY", "LIGHT"), probes(0), strict=True):
        assert f"SENSOR_{name} = {probe.sensor_id}\n" in example


def test_digits() -> None:
    cases = [(0, 1), (-500, 1), (-40000, 1), (100000, 1), (80, 3), (2570, 3), (2570, 2), (1769612875007, 3)]
    script = f"from outbox import digits\nfor one in {cases!r}: print(digits(*one))"
    assert run_script(script).split() == [
        *("0.0", "-0.5", "-40.0", "100.0", "0.080", "2.570", "2.57", "1769612875.007"),
    ]


def test_the_outbox_drops_the_oldest_and_forgets_what_has_no_time() -> None:
    script = """
from outbox import Outbox
box = Outbox(4)
def show(): print([box.get(n) for n in range(box.first, box.next)], box.dropped)
box.put(0, -40000, None); box.put(1, 100000, None); box.put(2, 3300, 1769612875123)
show()
print(box.forget_untimed(), box.forget_untimed()); show()
for n in range(5): box.put(n, n, 1769612875124 + n)
show()
box.acknowledged(box.first + 1); show()
box.acknowledged(0); show()
box.acknowledged(box.next - 1); print(len(box))
"""
    assert run_script(script).splitlines() == [
        "[(0, -40000, None), (1, 100000, None), (2, 3300, 1769612875123)] 0",
        "2 0",
        "[(2, 3300, 1769612875123)] 0",
        "[(1, 1, 1769612875125), (2, 2, 1769612875126), (3, 3, 1769612875127), (4, 4, 1769612875128)] 2",
        "[(3, 3, 1769612875127), (4, 4, 1769612875128)] 2",
        "[(3, 3, 1769612875127), (4, 4, 1769612875128)] 2",
        "0",
    ]


CLOCK = """
import sys
class time:
    ticks = 2**30 - 500
    def ticks_ms(): return time.ticks %% 2**30
    def ticks_diff(a, b): return (a - b + 2**29) %% 2**30 - 2**29
    def gmtime(seconds): return real.gmtime(seconds + EPOCH)
import time as real
EPOCH = %d
sys.modules["time"] = time
class ntptime:
    unix = None
    def time():
        if ntptime.unix is None: raise OSError(116)
        return ntptime.unix - EPOCH
sys.modules["ntptime"] = ntptime
import clock
own = clock.Clock("here")
def ask(unix):
    ntptime.unix = unix
    try:
        own.ask()
        print(own.now())
    except (OSError, ValueError) as error:
        print(error)
"""


def clock(script: str, epoch: int = 0) -> list[str]:
    return run_script(CLOCK % epoch + script).splitlines()


@pytest.mark.parametrize("epoch", [0, 946684800], ids=["1970", "2000"])
def test_the_clock_counts_from_1970_wherever_the_board_counts_from(epoch: int) -> None:
    script = """
print(own.now(), own.stamp())
ask(None)
ask(1769612875)
time.ticks += 1234
print(own.now(), clock.text(own.now()))
print(own.stamp(), own.stamp(), own.stamp())
"""
    assert clock(script, epoch) == [
        "None None",
        "116",
        "1769612875000",
        # ticks_ms() has come to its end and begun again meanwhile.
        "1769612876234 2026-01-28 15:07:56 UTC",
        "1769612876234 1769612876235 1769612876236",
    ]


def test_the_clock_believes_no_time_before_2024_and_no_jump_unless_it_is_confirmed() -> None:
    script = """
ask(946684800 + 3600)
ask(1769612875)
time.ticks += 60000
ask(1769612875 + 60)        # agrees
time.ticks += 60300
ask(1769612875 + 121)       # 0.7 s ahead at least
ask(1769612875 + 119)       # and back: 1.001 s behind at least
ask(1769612875 + 4000)      # a jump
ask(1769612875 + 120)       # which was none
ask(1769612875 + 4000)      # the jump again
ask(1769612875 + 4001)      # and confirmed
before = own.stamp()
ask(1769612875 + 121)
ask(1769612875 + 121)       # back, confirmed
print(own.stamp() < before)
"""
    assert clock(script) == [
        "NTP says that it is second 946688400, which cannot be",
        "1769612875000",
        "1769612935000",
        "1769612996000",
        "1769612994999",
        "NTP is 3880 s away from this clock; asking once more",
        "1769612995000",
        "NTP is 3880 s away from this clock; asking once more",
        "1769616876000",
        "NTP is -3880 s away from this clock; asking once more",
        "1769612996999",
        "True",
    ]


@pytest.mark.parametrize(
    ("u16", "volts"), [(0, "0.000"), (65535, "3.300"), (32768, "1.650"), (51039, "2.570")]
)
def test_volts_of_a_simulated_board_are_those_of_12_bits_and_3_3_v(
    tmp_path: Path, u16: int, volts: str
) -> None:
    assert ldr(tmp_path, False, u16=u16, uv=1) == volts


def test_volts_of_a_real_board_are_what_the_chip_makes_of_them(tmp_path: Path) -> None:
    assert ldr(tmp_path, True, u16=1, uv=2_570_400) == "2.570"


def ldr(tmp_path: Path, calibrated: bool, **said: int) -> str:
    world = tmp_path / "world.json"
    world.write_text(json.dumps(said))
    script = (
        f"from sensors import Ldr\nfrom outbox import digits\nprint(digits(Ldr(34, {calibrated}).read(), 3))"
    )
    return run_script(script, world).strip()


@pytest.mark.parametrize(
    ("said", "result"),
    [
        ({"temperature": 21.5, "humidity": 40.2}, "(21500, 40200)"),
        ({"temperature": -0.1, "humidity": 99.9}, "(-100, 99900)"),
        ({"temperature": 0.0, "humidity": 40.0}, "(0, 40000)"),
        # What a 32-bit float makes of 0.1 * 215 and the like.
        ({"temperature": 21.500001, "humidity": 40.199997}, "(21500, 40200)"),
        ({"temperature": 0.0, "humidity": 0.0}, "the DHT22 says 0 °C and 0 %: is its wire held at 0 V?"),
        (
            {"temperature": 20.0, "humidity": 100.1},
            "the DHT22 says 20.0 °C and 100.1 %, which it cannot measure",
        ),
        ({"dht": "timeout"}, "the DHT22 does not answer: is SDA on the right pin, is it powered?"),
        ({"dht": "checksum"}, "the DHT22 was misunderstood (checksum error): is the wire too long?"),
    ],
)
def test_the_dht22(tmp_path: Path, said: dict[str, object], result: str) -> None:
    world = tmp_path / "world.json"
    world.write_text(json.dumps(said))
    script = """
from sensors import Dht22
try: print(Dht22(15).read())
except (OSError, ValueError) as error: print(error)
"""
    assert run_script(script, world).strip() == result


@pytest.mark.parametrize(
    ("late", "interval", "pause"),
    [
        (0, 5000, 5000),
        (3, 5000, 4997),
        (3000, 5000, 2000),
        (4900, 5000, 2000),
        (10100, 5000, 4900),
        (40, 2000, 2000),
        (30, 100, 100),  # quicker than a DHT22 is: as the settings say
    ],
)
def test_a_late_reading_keeps_its_distance_from_the_next(late: int, interval: int, pause: int) -> None:
    assert run_script(f"from sensors import pause\nprint(pause({late}, {interval}))") == f"{pause}\n"


def test_the_first_reading_is_not_asked_for_at_power_on(tmp_path: Path) -> None:
    """A DHT22 needs a second or two by then."""
    board = Board(tmp_path, 1, INTERVAL_SECONDS=3600)
    board.world(ntp="true", dht="timeout")
    with board:
        wait_for(lambda: "trying again" in board.log(), "the board at work")
        assert "DHT22" not in board.log()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (None, "settings.py is missing: copy settings_example.py to settings.py"),
        (("MQTT_PORT = 1883", "MQTT_PORT = '1883'"), "settings.py: MQTT_PORT = '1883' does not fit"),
        (("SENSOR_LIGHT = 3", "SENSOR_LIGHT = True"), "settings.py: SENSOR_LIGHT = True does not fit"),
        (("PIN_DHT = 15", ""), "settings.py lacks PIN_DHT: copy its line from settings_example.py"),
        (('"iot/measurements"', '"iot/#"'), "settings.py: MQTT_TOPIC = 'iot/#' must not be empty"),
        (("MQTT_TLS = False", "MQTT_TLS = True"), "settings.py: MQTT_TLS needs MQTT_CA_FILE"),
        (("INTERVAL_SECONDS = 5", "INTERVAL_SECONDS = 0"), "INTERVAL_SECONDS 0 to 86400"),
        (("PIN_LIGHT = 34", "PIN_LIGHT = 4"), "settings.py: PIN_LIGHT = 4: 32 to 39, pins of ADC1"),
        (
            ("SENSOR_HUMIDITY = 2", "SENSOR_HUMIDITY = 0"),
            "settings.py: SENSOR_HUMIDITY = 0 must be 1 or more",
        ),
        (("MQTT_PORT = 1883", "MQTT_PORT = 0"), "settings.py: MQTT_PORT = 0 must be 1 to 65535"),
    ],
)
def test_settings_that_do_not_fit_are_said(tmp_path: Path, change: tuple[str, str] | None, said: str) -> None:
    for path in FIRMWARE.glob("*.py"):
        if path.name != "settings.py":
            (tmp_path / path.name).write_text(path.read_text())
    if change:
        example = (FIRMWARE / "settings_example.py").read_text()
        assert change[0] in example
        (tmp_path / "settings.py").write_text(example.replace(*change))
    done = subprocess.run(
        [MICROPYTHON, "main.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=30
    )
    assert done.stdout.startswith(said) or (change and said in done.stdout), done
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_nothing_is_imported_that_a_board_does_not_have() -> None:
    own = {path.stem for path in FIRMWARE.glob("*.py")} | {"settings"}
    for path in FIRMWARE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = {str(node.module)}
            elif isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            else:
                continue
            assert names <= ON_THE_BOARD | own, path


def test_the_stubs_do_not_stand_in_for_the_firmware() -> None:
    assert not {path.name for path in STUBS.glob("*.py")} & {path.name for path in FIRMWARE.glob("*.py")}
