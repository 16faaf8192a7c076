"""What the Arduino sketch does where Wi-Fi, the broker or an acknowledgement is lost; how it comes back."""

import itertools
import re
from datetime import UTC, datetime, timedelta

import pytest

from monitoring.models import Measurement
from monitoring.models.measurement_queryset import Incoming
from monitoring.upkeep.partitions import ensure_partitions
from tests.firmware.sketch import DAY, NOON, Ask, Board, Run, of_the_sketch

pytestmark = of_the_sketch

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
