"""What the Arduino sketch sends: readings, what is none, and the time."""

from datetime import UTC, datetime, timedelta

import pytest

from monitoring.decoders import Reading, check, decode
from monitoring.decoders.json.examples import load
from monitoring.management.commands.first_run import Command
from monitoring.models import Sensor
from tests.firmware.sketch import NOON, Ask, Board, of_the_sketch

pytestmark = of_the_sketch

# --- what it sends -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_it_works(board: Board) -> None:
    """What is published in half a minute is what the project stores, with the sensors that it makes."""
    Command().make_sensors()
    sensors = Sensor.objects.in_bulk()

    run = board("steps 3189", f"time {NOON}", "run 31000")

    assert len(run.measurements) == 6 * 3
    received_at = datetime.fromtimestamp(NOON / 1000, UTC) + timedelta(seconds=31)
    for sent in run.measurements:
        sensor = sensors[sent.reading.sensor_id]
        assert (sent.reading.kind, sent.reading.unit) == (sensor.kind, sensor.unit)
        assert check(sent.reading, sensor, received_at, False, received_at - timedelta(days=1)) is None
    first = run.measurements[:3]
    assert [(s.reading.sensor_id, s.reading.value) for s in first] == [(1, 21.4), (2, 48.2), (3, 2.57)]
    assert {s.reading.ts for s in first} == {datetime.fromtimestamp(NOON / 1000 + 5, UTC)}


@pytest.mark.parametrize(
    ("question", "example"),
    [("payload 3 2.57 0", "the usual message"), ("payload 1 21.5 0", "non-ASCII unit")],
)
def test_its_payload_is_the_examples_to_the_byte(ask: Ask, question: str, example: str) -> None:
    [message] = [e.message for e in load() if e.group == "readings" and e.name == example]

    assert ask(question) == [message.decode()]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("21.44", "21.4"),
        ("21.45001", "21.5"),
        ("21.0", "21"),
        ("0", "0"),
        ("0.04", "0"),
        ("-0.04", "0"),
        ("-0.1", "-0.1"),
        ("-12.3", "-12.3"),
        ("100", "100"),
    ],
)
def test_it_writes_the_value(ask: Ask, value: str, written: str) -> None:
    assert ask(f"payload 1 {value} 0") == [
        '{"sensor_id": 1, "type": "temperature", "value": ' + written + ', "unit": "°C"}'
    ]


def test_it_writes_ts_to_the_millisecond(ask: Ask) -> None:
    [payload] = ask("payload 3 0.806 1769612875007")

    assert payload.endswith(', "ts": 1769612875.007}')
    [reading] = decode(payload.encode())
    assert isinstance(reading, Reading)
    assert reading.ts == datetime(2026, 1, 28, 15, 7, 55, 7000, UTC)


def test_the_longest_payload_has_room(ask: Ask) -> None:
    [answer] = ask("longest")
    length, _, payload = answer.partition(" ")

    assert int(length) == len(payload.encode())
    [reading] = decode(payload.encode())
    assert isinstance(reading, Reading)
    assert reading.value == -2147483.648


def test_a_payload_that_has_no_room_is_not_cut_off(ask: Ask) -> None:
    size = len(ask("payload 3 2.57 0")[0])

    assert ask(f"payload 3 2.57 0 {size}", f"payload 3 2.57 0 {size + 1}") == [
        "(too small)",
        '{"sensor_id": 3, "type": "light", "value": 2.57, "unit": "V"}',
    ]


def test_volts_are_those_of_12_bits_and_3_3_v(ask: Ask) -> None:
    assert ask("volts 0", "volts 4095", "volts 1000") == ["0", "3.3", "0.805861"]


def test_the_simulators_converter_is_read_raw_and_a_real_one_calibrated(board: Board) -> None:
    orders = ("steps 1000", "millivolts 942", f"time {NOON}", "run 6000")

    simulated = board(*orders).measurements[2].reading
    # Of a noisy one the mean is taken.
    real = board("noise 40", *orders, WIFI_SSID='"home"', WIFI_CHANNEL=0).measurements[2].reading

    assert (simulated.kind, simulated.value) == ("light", 0.806)
    assert (real.kind, real.value) == ("light", 0.942)


# --- readings that are none ----------------------------------------------------------------------


@pytest.mark.parametrize(("status", "says"), [(1, "no answer"), (2, "a garbled answer")])
def test_it_handles_a_dht22_that_fails(board: Board, status: int, says: str) -> None:
    run = board(f"time {NOON}", f"dht_status {status}", "run 11000", "dht_status 0", "run 5000")

    assert [sent.reading.sensor_id for sent in run.measurements] == [3, 3, 1, 2, 3]
    assert run.serial.count(f"DHT22: nothing sent: {says}") == 2


@pytest.mark.parametrize("air", ["80.1 50", "-40.1 50", "20 100.1", "20 -0.1"])
def test_it_handles_a_value_that_a_dht22_cannot_measure(board: Board, air: str) -> None:
    run = board(f"time {NOON}", f"air {air}", "run 6000")

    assert [sent.reading.sensor_id for sent in run.measurements] == [3]
    assert "DHT22: nothing sent: a value that it cannot measure" in run.serial


def test_nan_is_not_plausible(ask: Ask) -> None:
    assert ask("plausible 1 nan", "plausible 1 -40", "plausible 2 100", "plausible 3 inf") == list("0110")


# --- the time ------------------------------------------------------------------------------------


def test_before_the_time_is_known_it_sends_without_ts_and_keeps_nothing(board: Board) -> None:
    run = board("run 11000", "broker 0", "run 30000", "broker 1", f"time {NOON}", "run 70000")

    timeless = [sent for sent in run.measurements if sent.reading.ts is None]
    assert len(timeless) == 2 * 3
    assert timeless == run.measurements[:6]
    assert len(run.measurements) > 6
    assert run.serial.count("light: not kept, for the time is not known yet") == 6
    assert "time: 2026-01-28T15:07:55Z" in run.serial


def test_what_has_no_ts_is_never_sent_twice(board: Board) -> None:
    run = board("run 4000", "lose_acks 1", "run 60000")

    first = run.measurements[0]
    assert not first.acknowledged
    assert first.reading.ts is None
    assert [s.reading.kind for s in run.measurements[:2]] == ["temperature", "temperature"]
    assert run.measurements[1].at >= first.at + 5000
    assert "temperature: not kept, for the time is not known yet" in run.serial


def test_times_that_cannot_be_are_none(ask: Ask) -> None:
    before_2024, in_2024 = 1704067199999, 1704067200000

    assert ask("stamp 0", f"stamp {before_2024}", f"stamp {in_2024}", "stamp 4102444800000") == [
        "0",
        "0",
        str(in_2024),
        "0",
    ]


def test_ts_increases_where_the_clock_steps_back_a_little(ask: Ask) -> None:
    stamps = ask(
        f"stamp {NOON}", f"stamp {NOON}", f"stamp {NOON - 5000}", f"stamp {NOON + 1}", f"stamp {NOON + 9}"
    )

    assert [int(stamp) - NOON for stamp in stamps] == [0, 1, 2, 3, 9]


def test_a_clock_that_was_an_hour_ahead_is_believed_when_it_is_set_right(ask: Ask) -> None:
    assert ask(f"stamp {NOON + 3_600_000}", f"stamp {NOON}") == [str(NOON + 3_600_000), str(NOON)]


def test_each_sensors_ts_is_its_own_where_the_clock_is_set_back(board: Board) -> None:
    run = board(f"time {NOON}", "run 20000", f"time {NOON + 12_000}", "run 40000")

    keys = [(sent.reading.sensor_id, sent.reading.ts) for sent in run.measurements]
    assert len(keys) == 11 * 3
    assert len(set(keys)) == len(keys)
