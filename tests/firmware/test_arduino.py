"""The Arduino sketch, compiled for this machine and run in a world of stub headers (see arduino/ here)."""

import functools
import itertools
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from monitoring.decoders import Reading, check, decode
from monitoring.decoders.json.examples import load
from monitoring.management.commands.first_run import Command
from monitoring.models import Measurement, Sensor
from monitoring.models.measurement_queryset import Incoming
from monitoring.upkeep.partitions import ensure_partitions

PROJECT = Path(__file__).parents[2]
SKETCH = PROJECT / "firmware" / "arduino"
STUBS = Path(__file__).parent / "arduino"
COMPILER = next(filter(None, map(shutil.which, ("g++", "c++", "clang++"))), None)
STRICT = ["-Wall", "-Wextra", "-Werror"]
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

NOON = 1769612875250  # 2026-01-28T15:07:55.250Z
DAY = 86_400_000
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n" + "MIID" * 20 + "\n-----END CERTIFICATE-----"

if COMPILER is None:
    pytest.skip(
        "no C++ compiler: with g++ (apt install g++) the Arduino sketch is tested", allow_module_level=True
    )


class Event(NamedTuple):
    """Something that happened: milliseconds since the world began, what, and its fields."""

    at: int
    what: str
    fields: list[str]


class Publish(NamedTuple):
    at: int
    topic: str
    retained: bool
    acknowledged: bool
    payload: str

    @property
    def reading(self) -> Reading:
        [reading] = decode(self.payload.encode())
        assert isinstance(reading, Reading), reading
        return reading


class Run(NamedTuple):
    events: list[Event]

    def of(self, what: str) -> list[Event]:
        return [event for event in self.events if event.what == what]

    @property
    def serial(self) -> str:
        return "\n".join(event.fields[0] for event in self.of("serial"))

    @property
    def published(self) -> list[Publish]:
        """All of it; what was not acknowledged too."""
        found = []
        for event in self.of("publish"):
            topic, qos, retained, acknowledged, payload = event.fields
            assert qos == "1"
            found.append(Publish(event.at, topic, retained == "1", acknowledged == "1", payload))
        return found

    @property
    def measurements(self) -> list[Publish]:
        return [sent for sent in self.published if sent.topic.endswith("/measurements")]


def compile_cpp(source: Path, out: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(COMPILER), *STRICT, *map(str, options), str(source), "-o", str(out)]
    return subprocess.run(command, capture_output=True, text=True)


@functools.cache
def sanitizers() -> tuple[str, ...]:
    """What this compiler can do; a compiler without the runtime libraries can do nothing."""
    empty = subprocess.run(
        [str(COMPILER), *SANITIZED, "-x", "c++", "-", "-o", "/dev/null"],
        input="int main() {}",
        capture_output=True,
        text=True,
    )
    return tuple(SANITIZED) if empty.returncode == 0 else ()


Build = Callable[..., tuple[str, Path]]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Compiles the sketch with these settings, the others as in the example: its errors, and the program."""

    @functools.cache
    def build(**settings: object) -> tuple[str, Path]:
        folder = tmp_path_factory.mktemp("sketch")
        # A copy, so that nobody's own settings.h gets in.
        for name in ("sketch.ino", "settings_example.h", "readings.h", "timing.h", "explain.h"):
            shutil.copy(SKETCH / name, folder)
        if settings:
            text = (SKETCH / "settings_example.h").read_text()
            for name, value in settings.items():
                line = re.search(rf"^#define {name} .*|(?<=R\"{name}\()(?=\n)", text, re.MULTILINE)
                assert line is not None, f"{name} is not in settings_example.h"
                setting = f"#define {name} {value}" if line[0] else f"\n{value}"
                text = text[: line.start()] + setting + text[line.end() :]
            (folder / "settings.h").write_text(text)
        program = folder / "board"
        folders = ("-I", folder, "-I", STUBS)
        done = compile_cpp(STUBS / "run_sketch.cpp", program, "-std=gnu++20", *sanitizers(), *folders)
        return done.stderr, program

    return build


@pytest.fixture
def board(build: Build) -> Callable[..., Run]:
    """Runs the sketch in a world that follows the orders (tests/firmware/arduino/run_sketch.cpp)."""

    def board(*orders: str, **settings: object) -> Run:
        errors, program = build(**settings)
        assert errors == ""
        done = subprocess.run([program], input="\n".join(orders), capture_output=True, text=True, timeout=60)
        assert (done.stderr, done.returncode) == ("", 0)
        events = []
        for line in done.stdout.splitlines():
            at, what, *fields = line.split("\t")
            events.append(Event(int(at), what, fields))
        run = Run(events)
        assert all(int(event.fields[0]) >= 2000 for event in run.of("dht_read")), "a DHT22 takes 2 s"
        assert all(sent.reading for sent in run.measurements)
        assert all(sent.retained == sent.topic.startswith("iot/status/") for sent in run.published)
        return run

    return board


Board = Callable[..., Run]


@pytest.fixture(scope="session")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """Questions to the headers by themselves (tests/firmware/arduino/headers.cpp), and their answers."""
    program = tmp_path_factory.mktemp("headers") / "headers"
    # As the ESP32's older Arduino cores compile; the sketch below as the newer ones do.
    done = compile_cpp(STUBS / "headers.cpp", program, "-std=gnu++11", *sanitizers(), "-I", SKETCH)
    assert done.stderr == ""

    def ask(*questions: str) -> list[str]:
        done = subprocess.run([program], input="\n".join(questions), capture_output=True, text=True)
        assert (done.stderr, done.returncode) == ("", 0)
        return done.stdout.splitlines()

    return ask


Ask = Callable[..., list[str]]

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


# --- what gets lost on the way -------------------------------------------------------------------


def in_order_and_whole(run: Run, seconds: float, every: int = 5) -> None:
    """Each reading of all the time arrived, once or more often, first arrivals in the order of their ts."""
    arrived = list(
        dict.fromkeys((s.reading.ts, s.reading.sensor_id) for s in run.measurements if s.acknowledged)
    )
    assert len(arrived) >= seconds // every * 3 - 3
    assert arrived == sorted(arrived)
    times = sorted({ts for ts, _ in arrived if ts})
    assert len(arrived) == 3 * len(times)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    # Connecting holds the loop up for the 3 s that a network takes to give up.
    assert max(gaps) < timedelta(seconds=every + 4)


def test_it_handles_a_broker_that_goes_away_and_comes_back(board: Board) -> None:
    run = board(f"time {NOON}", "run 21000", "broker 0", "run 120000", "broker 1", "run 90000")

    in_order_and_whole(run, 21 + 120 + 90)
    assert len({sent.payload for sent in run.measurements}) == len(run.measurements), (
        "nothing had to go twice"
    )
    assert "MQTT: connection lost" in run.serial
    assert "no connection. Is the broker running" in run.serial
    assert re.search(r"kept: \d\d readings wait for the broker", run.serial)


def test_it_handles_a_wifi_that_goes_away_and_comes_back(board: Board) -> None:
    run = board(
        f"time {NOON}", "run 21000", "access_point absent", "run 120000", "access_point there", "run 90000"
    )

    in_order_and_whole(run, 21 + 120 + 90)
    assert "not acknowledged" not in run.serial, "nothing is sent over a connection that Wi-Fi took with it"
    assert len([event for event in run.of("pin") if 22_000 < event.at < 141_000]) > 100, "the LED blinks"
    assert "Wi-Fi: connection lost" in run.serial
    assert "Wi-Fi: Wokwi-GUEST not found. Is WIFI_SSID spelt right" in run.serial


def test_a_lost_acknowledgement_sends_the_same_reading_again(board: Board) -> None:
    run = board(f"time {NOON}", "run 9000", "lose_acks 1", "run 60000")

    [lost] = [sent for sent in run.measurements if not sent.acknowledged]
    again = [sent for sent in run.measurements if sent.payload == lost.payload]
    assert [sent.acknowledged for sent in again] == [False, True]
    in_order_and_whole(run, 69)
    assert "not acknowledged" in run.serial


@pytest.mark.django_db
def test_what_is_sent_again_is_stored_once(board: Board) -> None:
    """All that the broker saw, whether or not the board heard of it, through the project's own ingest."""
    run = board(
        *(f"time {NOON}", "run 9000", "lose_acks 1", "run 30000", "broker 0", "run 30000", "broker 1"),
        *("run 30000", "lose_acks 2", "run 60000"),
    )
    received_at = datetime.fromtimestamp(NOON / 1000, UTC) + timedelta(minutes=3)
    ensure_partitions(received_at - timedelta(days=1), received_at)
    readings = [sent.reading for sent in run.measurements]

    outcome = Measurement.objects.ingest(
        [Incoming(r.sensor_id, r.ts, received_at, r.value, r.unit or "", True) for r in readings if r.ts]
    )

    unheard = [sent for sent in run.measurements if not sent.acknowledged]
    assert len(outcome.duplicates) == len(unheard) == 2
    assert len(outcome.stored) == len(run.of("dht_read")) * 3
    assert outcome.conflicts == {}


def test_a_broker_that_throws_it_out_is_not_stormed(board: Board) -> None:
    """Some brokers close the connection on a topic that is not allowed."""
    run = board(f"time {NOON}", "closes_on_publish 1", "run 600000")

    assert len(run.of("connect")) < 40
    assert all(sent.payload == "online" for sent in run.published)


def test_what_does_not_fit_any_more_is_counted(board: Board) -> None:
    run = board(f"time {NOON}", "run 4000", "broker 0", "run 60000", "broker 1", "run 60000", KEEP_READINGS=9)

    measured = len(run.of("dht_read")) * 3
    lost = measured - len(run.measurements)
    assert lost > 0
    assert f"9 readings wait, which is all that fit (KEEP_READINGS); {lost} older ones are lost" in run.serial
    # It is the oldest that are gone.
    assert [sent.reading.ts for sent in run.measurements] == sorted(
        sent.reading.ts for sent in run.measurements if sent.reading.ts
    )


def test_the_oldest_make_room(ask: Ask) -> None:
    answers = ask(
        *(f"add {n}" for n in range(1, 7)), "remove", "remove", "add 7", "remove", "remove", "remove"
    )

    assert answers == [
        *("1 0 1", "2 0 1", "3 0 1", "4 0 1", "4 1 2", "4 2 3"),
        *("3 4", "2 5", "3 2 5", "2 6", "1 7", "0 0"),
    ]


# --- coming back ---------------------------------------------------------------------------------


def test_the_pauses_double_up_to_a_minute(ask: Ask) -> None:
    shortest = [int(pause) for pause in ask(*["failed 0 0"] * 9)]
    longest = [int(pause) for pause in ask(*(f"failed 0 {pause}" for pause in shortest))]

    assert shortest == [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]
    assert longest == [2 * pause for pause in shortest]


def test_the_pauses_begin_anew_after_a_success(ask: Ask) -> None:
    assert ask("failed 0 0", "failed 0 0", "succeeded", "due 0", "failed 0 0")[3:] == ["1", "500"]


def test_a_pause_ends_where_millis_begins_anew(ask: Ask) -> None:
    before = 2**32 - 300

    assert ask(f"failed {before} 0", f"due {before + 299}", "due 199", "due 200")[1:] == ["0", "0", "1"]


def test_a_pause_is_over_after_a_month_in_which_nobody_asked(ask: Ask) -> None:
    assert ask("failed 0 0", f"due {30 * DAY}")[1] == "1"


def test_the_beat_is_kept_and_what_was_missed_is_not_made_up_for(ask: Ask) -> None:
    assert ask("beats 0 0 4999 5003 9999 10000 31000 31001 34999 35000") == ["01011001"]


def test_a_late_beat_is_not_followed_at_once(ask: Ask) -> None:
    """Read again within two seconds a DHT22 says what it said before, and the library does not tell."""
    assert ask("beats 2000 0 5003 9999 10000 19000 20000 20999 21000 25999 26000") == ["1011001" + "01"]


def test_a_dht22_is_left_in_peace_between_two_readings(board: Board) -> None:
    """The board's fixture looks at the pauses: every lateness must be paid for by the next beat."""
    run = board(f"time {NOON}", "run 30000", "lose_acks 1", "run 60000", INTERVAL_SECONDS=2)

    assert len(run.of("dht_read")) > 35


def test_the_beat_goes_on_where_millis_begins_anew(ask: Ask) -> None:
    start = 2**32 - 7000

    assert ask(f"beats 0 {start} {start + 4999} {start + 5000} 2999 3000") == ["0101"]


def test_two_boards_do_not_come_back_in_step(board: Board) -> None:
    tries = [[e.at for e in board(f"seed {n}", "broker 0", "run 60000").of("connect")] for n in (1, 2)]

    assert len(set(tries[0][1:]) & set(tries[1][1:])) <= 1


def test_it_goes_on_where_millis_begins_anew(board: Board) -> None:
    run = board(f"millis {2**32 - 12_000}", f"time {NOON}", "run 61000")

    assert len(run.measurements) == 12 * 3
    assert len(run.of("connect")) == 1


def test_it_comes_back_after_a_month_without_wifi(board: Board) -> None:
    run = board(
        f"time {NOON}",
        *("run 10000", "broker 0", "run 20000", "access_point absent", "run 20000", f"sleep {30 * DAY}"),
        *("access_point there", "broker 1", "run 120000"),
    )

    assert run.measurements[-1].at > 30 * DAY + 160_000


@pytest.mark.parametrize(
    ("access_point", "says"),
    [
        ("absent", "not found. Is WIFI_SSID spelt right"),
        ("bad_password", "refused the board. Is WIFI_PASSWORD right?"),
        ("mute", "no answer in time"),
    ],
)
def test_it_handles_a_wifi_that_does_not_let_it_in(board: Board, access_point: str, says: str) -> None:
    run = board(f"access_point {access_point}", "run 300000", "access_point there", "run 70000")

    assert f"Wi-Fi: Wokwi-GUEST {says}" in run.serial
    assert "(reason 8)" not in run.serial, "leaving by itself is no failure"
    tries = [event.at for event in run.of("wifi")]
    assert 5 < len(tries) < 20
    assert max(later - earlier for earlier, later in itertools.pairwise(tries)) < 81_000
    assert run.measurements


def test_an_access_point_on_another_channel_is_found_at_the_second_try(board: Board) -> None:
    run = board("channel 11", "run 20000")

    assert [event.fields[2] for event in run.of("wifi")] == ["6", "0"]
    assert run.published


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (4, "user or password is wrong"),
        (5, "this user may not connect"),
        (3, "it is not available at the moment"),
    ],
)
def test_it_handles_a_broker_that_refuses_it(board: Board, code: int, says: str) -> None:
    run = board(f"refusal {code}", f"time {NOON}", "run 60000", "refusal 0", "run 70000")

    assert f"the broker refuses the board (code {code}): {says}" in run.serial
    in_order_and_whole(run, 130)


def test_every_wifi_reason_is_explained(ask: Ask) -> None:
    answers = dict(
        zip(codes := [*range(70), *range(200, 213)], ask(*(f"wifi {c}" for c in codes)), strict=True)
    )

    assert answers[201].startswith("not found")
    assert answers[15] == answers[202] == answers[204]
    assert all(answers.values())


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
