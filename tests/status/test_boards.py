"""Boards say online and offline; the first that is seen to send has the sensor."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError
from paho.mqtt.enums import CallbackAPIVersion
from rest_framework.test import APIClient

from batches.batch import Batch, Message, time_ordered_id
from batches.store import BatchStore, Receipt
from batches.topics import board_of, check_status, status_filters
from monitoring import books
from monitoring.decoders import Code, Refusal
from monitoring.decoders.board_status import decode
from monitoring.ingest import ingest, work
from monitoring.models import Board, Measurement, RejectedMessage, Sensor, SensorStatus
from monitoring.models.board import Heard
from monitoring.rejected.replay import replay_one
from monitoring.status.returning import Returning
from runner.services import Broker
from tests.journey.system import wait_for

START = datetime(2026, 3, 1, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


# --- topics ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "topics", "filters"),
    [
        ([], ["iot/measurements", "iot/+/measurements"], ["iot/status/+"]),
        ([], ["my-own-7f3a91/measurements"], ["my-own-7f3a91/status/+"]),
        ([], ["$share/us/iot/measurements"], ["iot/status/+"]),
        ([], ["a/measurements", "b/+/measurements"], ["a/status/+", "b/status/+"]),
        ([], ["iot/#", "a/+", "+/measurements", "measurements"], []),
        (["off"], ["iot/measurements"], []),
        (["home/+/state", "home/hall/state"], ["iot/measurements"], ["home/+/state"]),
    ],
)
def test_where_boards_say_how_they_are(given: list[str], topics: list[str], filters: list[str]) -> None:
    assert list(status_filters(given, topics)) == filters


@pytest.mark.parametrize("wrong", [["iot/#"], ["online"], ["a+/b"], ["off", "iot/status/+"]])
def test_a_filter_that_names_no_board_is_refused(wrong: list[str]) -> None:
    with pytest.raises(ValidationError):
        check_status(wrong)


def test_whose_topic_it_is() -> None:
    assert board_of("iot/esp32-1/measurements") == "esp32-1"
    assert board_of("iot/measurements") == board_of("iot/esp32-1/state") == ""


@pytest.mark.parametrize(
    ("topic", "payload", "length", "code"),
    [
        ("iot/status/a", b"on", None, Code.BAD_STATUS),
        ("iot/status/a", b"", None, Code.BAD_STATUS),
        ("iot/status/a", b'{"sensor_id": 3, "value": 1}', None, Code.BAD_STATUS),
        ("iot/status/a", b"\xff\x00", None, Code.BAD_STATUS),
        ("iot/status/", b"online", None, Code.BAD_STATUS),
        ("iot/status/" + "a" * 101, b"online", None, Code.BAD_STATUS),
        ("iot/status/a\x01", b"online", None, Code.BAD_STATUS),
        ("iot/status/a", b"online", 20_000, Code.TOO_LARGE),
    ],
)
def test_what_says_nothing_of_a_board(topic: str, payload: bytes, length: int | None, code: Code) -> None:
    found = decode(topic, payload, length)
    assert isinstance(found, Refusal)
    assert found.code is code
    assert "\0" not in found.detail


@given(st.text(max_size=120), st.binary(max_size=50))
def test_whatever_comes_is_said_or_refused(name: str, payload: bytes) -> None:
    decode(f"iot/status/{name}", payload, None)


# --- what is heard, in whatever order -------------------------------------------------------------

heards = st.lists(
    st.builds(Heard, st.just("a"), st.booleans(), st.integers(0, 50).map(after), st.just(False)),
    min_size=1,
    unique_by=lambda one: one.at,
)


@given(heards, st.randoms())
def test_the_newest_decides_in_whatever_order_they_come(heard: list[Heard], random: object) -> None:
    shuffled = list(heard)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    board = Board(name="a", online=False, since=START)
    for one in (*shuffled, *shuffled):
        board.hear(one)
    newest = max(heard, key=lambda one: one.at)
    assert (board.online, board.said_at) == (newest.online, newest.at)
    assert board.last_seen == max((one.at for one in heard if one.online), default=None)


@given(heards)
def test_in_order_it_is_known_since_when(heard: list[Heard]) -> None:
    board = Board(name="a", online=False, since=START)
    ordered = sorted(heard, key=lambda one: one.at)
    for one in ordered:
        board.hear(one)
    changes = [ordered[0].at] + [b.at for a, b in pairwise(ordered) if a.online != b.online]
    assert board.since == changes[-1]


def test_the_brokers_copy_is_no_sign_of_life() -> None:
    board = Board(name="a", online=False, since=START)
    board.hear(Heard("a", True, after(1), True))
    assert (board.online, board.last_seen) == (True, None)
    board.hear(Heard("a", True, after(2), False))
    board.hear(Heard("a", True, after(3), True))
    assert (board.since, board.last_seen) == (after(1), after(2))


# --- in a batch -----------------------------------------------------------------------------------

HandOver = Callable[..., Batch]


@pytest.fixture
def hand_over(store: BatchStore, now: datetime) -> HandOver:
    """Messages (topic, payload[, retained]), a millisecond apart, the last of them now."""

    def hand_over(*messages: tuple[str, bytes] | tuple[str, bytes, bool]) -> Batch:
        start = int(datetime.now(UTC).timestamp() * 1_000_000) - 1000 * len(messages)
        made = [Message(start + 1000 * place, *one) for place, one in enumerate(messages)]
        batch = Batch(time_ordered_id(), "mqtt:test", made)
        store.hand_over(batch, Receipt(f"test:{batch.id}", "", 60))
        return batch

    return hand_over


def reading(sensor_id: int) -> bytes:
    return json.dumps({"sensor_id": sensor_id, "value": 2.5}).encode()


@pytest.mark.django_db(transaction=True)
def test_it_works(sensors: dict[int, Sensor], store: BatchStore, hand_over: HandOver) -> None:
    before = books.read(store)
    batch = hand_over(
        ("iot/status/esp32-1", b"online", True),
        ("iot/esp32-1/measurements", reading(1)),
        ("iot/status/esp32-2", b"online"),
        ("iot/status/esp32-2", b"offline"),
        # Well formed, and on a topic of no readings.
        ("iot/status/esp32-1", reading(2)),
        ("iot/status/esp32-1", b"garbage"),
    )
    entry = ingest(store, batch.id).entry
    assert entry is not None
    assert (entry.messages, entry.readings, entry.stored, entry.rejected) == (6, 3, 1, 2)
    found = books.read(store)
    assert found["balanced"]
    assert found["ledger"]["messages"] - before["ledger"]["messages"] == 6
    one, two = Board.objects.all()
    assert (one.name, one.online, one.last_seen) == ("esp32-1", True, None)
    assert (two.name, two.online) == ("esp32-2", False)
    assert two.last_seen is not None
    assert two.since > two.last_seen
    assert set(RejectedMessage.objects.values_list("code", "topic")) == {("bad_status", "iot/status/esp32-1")}
    assert Measurement.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_batch_of_nothing_but_statuses(store: BatchStore, hand_over: HandOver) -> None:
    """Several such, in one transaction; and again, which changes nothing."""
    for name in ("b", "a"):
        hand_over((f"iot/status/{name}", b"online"), ("iot/status/c", b"online"))
    assert not work(store, lambda attempt: None)
    assert [(board.name, board.online) for board in Board.objects.all()] == [
        *(("a", True), ("b", True), ("c", True))
    ]
    assert books.read(store)["balanced"]
    assert store.figures().pending_batches == 0


@pytest.mark.django_db(transaction=True)
def test_message_by_message_they_are_heard_as_well(
    sensors: dict[int, Sensor], store: BatchStore, hand_over: HandOver
) -> None:
    from monitoring.ingest.ways import one_by_one

    entry = one_by_one(hand_over(("iot/status/a", b"online"), ("iot/status/a", b"?"), ("x", reading(1))))
    assert entry is not None
    assert (entry.messages, entry.readings, entry.stored, entry.rejected) == (3, 2, 1, 1)
    assert Board.objects.get().online


@pytest.mark.django_db(transaction=True)
def test_what_a_board_said_is_not_replayed(
    store: BatchStore, hand_over: HandOver, sensors: dict[int, Sensor]
) -> None:
    ingest(store, hand_over(("iot/status/a", b"?")).id)
    row = RejectedMessage.objects.get()
    for payload in (None, b"online", reading(1)):
        verdict = replay_one(row.pk, None, payload=payload)
        assert (verdict.outcome, verdict.code) == ("rejected", "bad_status")
    assert not Board.objects.exists()
    assert books.read(store)["balanced"]


@pytest.mark.django_db(transaction=True)
def test_where_it_is_switched_off_they_are_messages_like_any_other(
    store: BatchStore, hand_over: HandOver, settings: object, sensors: dict[int, Sensor]
) -> None:
    settings.MQTT_STATUS_TOPICS = ()  # type: ignore[attr-defined]
    entry = ingest(store, hand_over(("iot/status/a", b"online")).id).entry
    assert entry is not None
    assert entry.rejected == 1
    assert RejectedMessage.objects.get().code == "not_json"


@pytest.mark.django_db
def test_there_is_an_end_to_boards(
    monkeypatch: pytest.MonkeyPatch, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("monitoring.models.board.MOST_BOARDS", 3)
    Board.objects.hear([Heard(f"{name}", True, now, False) for name in range(5)])
    Board.objects.hear([Heard("0", False, now + timedelta(seconds=1), False)])
    assert [(board.name, board.online) for board in Board.objects.all()] == [
        *(("0", False), ("1", True), ("2", True))
    ]
    assert "2 boards are not taken in" in caplog.text


# --- whose a sensor is ----------------------------------------------------------------------------


def claimed() -> dict[int, str | None]:
    return dict(SensorStatus.objects.order_by("pk").values_list("pk", "board__name"))


@pytest.mark.django_db
def test_the_first_board_has_the_sensor_until_it_is_offline(sensors: object, now: datetime) -> None:
    Board.objects.hear([Heard("a", True, now, False), Heard("b", True, now, False)])
    claim = SensorStatus.objects.claim
    assert claim({1: "a", 2: "b", 3: "unknown"}) == 2
    assert claim({1: "b", 2: "b"}) == 0
    assert claimed() == {1: "a", 2: "b", 3: None}
    Board.objects.hear([Heard("a", False, now + timedelta(seconds=1), False)])
    assert claim({1: "b"}) == 1
    assert claimed() == {1: "b", 2: "b", 3: None}


@pytest.fixture
def returning() -> Iterator[Returning]:
    returning = Returning(0.01)
    end = returning.start()
    yield returning
    end()


@pytest.mark.django_db(transaction=True)
def test_a_sensor_is_claimed_by_the_topic_that_its_reading_comes_on(
    sensors: object, store: BatchStore, hand_over: HandOver, returning: Returning
) -> None:
    """Plain readings and others alike."""
    ingest(store, hand_over(("iot/status/a", b"online"), ("iot/status/b", b"online")).id)
    batch = hand_over(
        ("iot/a/measurements", reading(1)),
        ("iot/b/measurements", b"[" + reading(2) + b"]"),
        ("iot/measurements", reading(3)),
    )
    ingest(store, batch.id)
    wait_for(lambda: claimed() == {1: "a", 2: "b", 3: None}, "the claims")


# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_they_are_shown(sensors: object, now: datetime, admin_client: Client, admin_user: object) -> None:
    Board.objects.hear([Heard("a", True, now, False), Heard("b", False, now, False)])
    SensorStatus.objects.claim({1: "a", 2: "a"})
    newest = now + timedelta(seconds=5)
    SensorStatus.objects.filter(pk=2).update(newest_at=newest)
    client = APIClient()
    client.force_authenticate(admin_user)  # type: ignore[arg-type]
    one, two = client.get("/api/monitoring/boards/").json()
    assert one["name"] == "a"
    assert one["online"]
    assert one["sensors"] == [1, 2]
    assert datetime.fromisoformat(one["online_since"]) == now
    assert datetime.fromisoformat(one["last_seen"]) == newest
    assert one["offline_since"] is None
    assert (two["online"], two["online_since"], two["last_seen"], two["sensors"]) == (False, None, None, [])
    first = client.get("/api/monitoring/boards/?limit=1")
    assert 'rel="next"' in first["Link"]
    page = admin_client.get(reverse("admin:monitoring_board_changelist")).content.decode()
    assert "Capteur Temp Salon, Capteur Humidité Salon" in page
    assert "offline" in page


# --- through a broker -----------------------------------------------------------------------------

sys.path.append(str(Path(__file__).parents[1] / "bridge"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., object]]:
    from bridge_process import BridgeProcess

    running: list[BridgeProcess] = []

    def start(**environment: str) -> BridgeProcess:
        environment = {"REDIS_URL": os.environ["REDIS_URL"]} | environment
        running.append(BridgeProcess(tmp_path / f"bridge-{len(running)}.log", **environment))
        return running[-1]

    yield start
    for process in running:
        process.close()


def a_board(broker: Broker, name: str) -> mqtt.Client:
    """As our firmware does it."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv311)
    client.will_set(f"iot/status/{name}", b"offline", qos=1, retain=True)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish(f"iot/status/{name}", b"online", qos=1, retain=True).wait_for_publish(20)
    return client


HAS_MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "binaries",
    ["wheels", pytest.param("system", marks=pytest.mark.skipif(not HAS_MOSQUITTO, reason="wants Mosquitto"))],
)
def test_through_a_broker(
    binaries: str, tmp_path: Path, store: BatchStore, start: Callable[..., object], sensors: object
) -> None:
    def online() -> dict[str, bool]:
        work(store, lambda attempt: None)
        return dict(Board.objects.values_list("name", "online"))

    with Broker(tmp_path / "mqtt", binaries=binaries) as broker:  # type: ignore[arg-type]
        # Before the bridge is there: what is retained is all that there is of it.
        early = a_board(broker, "early")
        bridge = start(MQTT_URL=broker.url)
        wait_for(lambda: online() == {"early": True}, "a board that was online before")
        assert Board.objects.get().last_seen is None
        late = a_board(broker, "late")
        wait_for(lambda: online() == {"early": True, "late": True}, "a board that comes")
        since = Board.objects.get(name="late").since
        # Its connection breaks: the broker publishes its last will.
        early.loop_stop()
        early.socket().close()  # type: ignore[union-attr]
        wait_for(lambda: online() == {"early": False, "late": True}, "a board that is gone")
        bridge.terminate()  # type: ignore[attr-defined]
        start(MQTT_URL=broker.url)
        late.publish("iot/status/late", b"online", qos=1, retain=True).wait_for_publish(20)
        seen = Board.objects.get(name="late").last_seen
        wait_for(lambda: online() and Board.objects.get(name="late").last_seen != seen, "its next word")
        assert Board.objects.get(name="late").since == since, "the same state again changes nothing"
        assert not RejectedMessage.objects.exists()
        late.disconnect()
        late.loop_stop()
    assert books.read(store)["balanced"]
