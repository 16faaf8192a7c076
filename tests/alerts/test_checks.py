"""What is looked at as of now: the share of what is rejected, boards, and the pipeline itself."""

import time
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from batches.batch import Batch, Message, time_ordered_id
from batches.connect import connect
from batches.store import BatchStore, Receipt
from monitoring.alerts import checks, due
from monitoring.alerts.changing import us
from monitoring.alerts.evaluating import Known, evaluate
from monitoring.alerts.rules import save
from monitoring.models import (
    AlertRule,
    AlertState,
    Board,
    Incident,
    IngestBatch,
    MinuteRollup,
    RejectedMessage,
    Sensor,
    SensorStatus,
)
from monitoring.models.alert_state import Pair
from monitoring.rollups.levels import MINUTE
from monitoring.status.reach import Reach
from monitoring.upkeep.partitions import ensure_partitions
from monitoring.upkeep.pieces import TimeShare
from process.heartbeat import beat, forget
from tests.alerts.conftest import Rules, Store, noted

pytestmark = pytest.mark.django_db
BOTH = ["Ana", "Ben"]


def told(*events: str) -> list[tuple[int, str, str]]:
    return [(place, event, name) for place, event in enumerate(events, 1) for name in BOTH]


def look(store: BatchStore, now: datetime, second: float = 0.0, until: float | None = None) -> None:
    """At this second from now on; all that was sent until then is known, or until `until`."""
    at = now + timedelta(seconds=second)
    known = at if until is None else now + timedelta(seconds=until)
    checks.look(store, Reach(known), at)


def states() -> list[tuple[str, str]]:
    rows = Incident.objects.order_by("pk")
    return [(row.subject, row.state) for row in rows]


def reject(
    at: datetime,
    sensors: list[int],
    elements: int = 1,
    topic: str = "iot/measurements",
    state: str = "waiting",
) -> None:
    RejectedMessage.objects.create(
        received_at=at, topic=topic, payload=b"{}", length=2, code="not_json", batch=uuid4(), position=0,
        elements=elements, sensors=sensors, state=state,
    )  # fmt: skip


# --- rejected -------------------------------------------------------------------------------------


@pytest.fixture
def too_much(rules: Rules) -> AlertRule:
    return rules(kind="rejected", high=0.5, window_s=300, name="Refused")


def test_a_sensor_of_which_too_much_is_rejected(
    too_much: AlertRule, stored: Store, store: BatchStore, now: datetime, began: datetime
) -> None:
    stored([(1, 1.0), (2, 1.0)], 1)
    stored([(1, 1.0), (2, 1.0)], 2)
    reject(began, [2], elements=2)
    reject(began, [1], elements=3)
    reject(began, [1], elements=9, state="replayed")
    reject(now - timedelta(seconds=400), [2], elements=9)
    reject(began, [999], elements=9)
    look(store, now)
    incident = Incident.objects.get()
    assert (incident.subject, incident.sensor_id, incident.value) == ("sensor:1", 1, 0.6)
    assert noted() == told("firing")
    look(store, now, 10)
    assert noted() == told("firing")
    stored([(second, 1.0) for second in range(10, 20)], 1)
    look(store, now, 20)
    assert states() == [("sensor:1", "resolved")]
    assert noted() == told("firing", "resolved")
    assert not AlertState.objects.exists(), "of what is normal no row is kept"


def test_of_one_that_falls_out_of_the_window_nothing_is_left(
    too_much: AlertRule, store: BatchStore, now: datetime
) -> None:
    reject(now, [1])
    look(store, now)
    look(store, now, 299)
    assert states() == [("sensor:1", "firing")]
    look(store, now, 301)
    assert states() == [("sensor:1", "resolved")]


def test_a_message_of_several_sensors_is_shared(
    too_much: AlertRule, store: BatchStore, stored: Store, now: datetime, began: datetime
) -> None:
    stored([(1, 1.0), (2, 1.0)], 1)
    stored([(1, 1.0)], 2)
    reject(began, [1, 2], elements=4)
    look(store, now)
    assert states() == [("sensor:2", "firing")]


def test_of_a_long_window_the_rollups_are_read(
    rules: Rules, store: BatchStore, stored: Store, now: datetime
) -> None:
    rules(kind="rejected", high=0.5, window_s=3600)
    reject(now - timedelta(minutes=30), [1], elements=10)
    stored([(second, 1.0) for second in range(170, 175)], 1)
    look(store, now)
    assert Incident.objects.get().value == pytest.approx(10 / 15)
    start = (now - timedelta(minutes=20)).replace(second=0, microsecond=0)
    ensure_partitions(start, start, MINUTE.table)
    MinuteRollup.objects.create(sensor_id=1, start=start, count=5, sum=5, min=1, max=1, first=1, last=1)
    look(store, now)
    assert states() == [("sensor:1", "resolved")]


def test_a_board_of_which_too_much_is_rejected(
    rules: Rules, store: BatchStore, stored: Store, now: datetime, began: datetime
) -> None:
    board = Board.objects.create(name="kitchen", online=True, since=began)
    SensorStatus.objects.filter(pk=1).update(board=board)
    rules(kind="rejected", high=0.5, window_s=300, board=board)
    stored([(1, 1.0), (2, 1.0)], 1)
    reject(began, [], 1, "iot/kitchen/measurements")
    reject(began, [], 9, "iot/hall/measurements")
    reject(began, [1], 1)
    look(store, now)
    assert states() == []
    reject(began, [], 1, "iot/kitchen/measurements")
    look(store, now, 10)
    assert states() == [("board:kitchen", "firing")]
    assert Incident.objects.get().sensor_id is None


def test_for_and_keep_count_by_the_clock(rules: Rules, store: BatchStore, now: datetime) -> None:
    rules(kind="rejected", high=0.5, window_s=100, for_s=20, keep_s=30)
    reject(now, [1])
    look(store, now)
    assert (states(), AlertState.objects.get().phase) == ([], "pending")
    look(store, now, 10)
    look(store, now, 20)
    assert states() == [("sensor:1", "firing")]
    incident = Incident.objects.get()
    assert (incident.since, incident.fired_at) == (now, now + timedelta(seconds=20))
    look(store, now, 110)
    assert AlertState.objects.get().phase == "clearing"
    look(store, now, 139)
    assert states() == [("sensor:1", "firing")]
    look(store, now, 145)
    assert states() == [("sensor:1", "resolved")]
    assert Incident.objects.get().resolved_at == now + timedelta(seconds=140)


def test_a_sensor_that_it_holds_for_no_longer(too_much: AlertRule, store: BatchStore, now: datetime) -> None:
    reject(now, [1])
    look(store, now)
    Sensor.objects.filter(pk=1).update(is_active=False)
    look(store, now, 10)
    assert Incident.objects.get().end == "changed"
    assert not AlertState.objects.exists()


@pytest.mark.parametrize(
    "change", [{"enabled": False}, {"window_s": 600}, {"kind": "above", "high": 25.0, "window_s": 0}]
)
def test_a_rule_that_is_changed_begins_anew(
    change: dict[str, object],
    too_much: AlertRule,
    store: BatchStore,
    stored: Store,
    now: datetime,
    began: datetime,
) -> None:
    reject(now, [1])
    look(store, now)
    for name, value in change.items():
        setattr(too_much, name, value)
    save(too_much, too_much.channels.all(), None)
    assert states() == [("sensor:1", "resolved")]
    look(store, now)
    again = [("sensor:1", "firing")] if "kind" not in change and "enabled" not in change else []
    assert states() == [("sensor:1", "resolved"), *again]
    if change.get("kind") == "above":
        # Its rows are of the readings' rule from now on, and nothing of the other one is in the way.
        stored([(179, 30.0)])
        evaluate({Pair(too_much.pk, 1): us(began)}, Known())
        assert AlertState.objects.get(sensor=1).rule_id == too_much.pk


# --- boards ---------------------------------------------------------------------------------------


@pytest.fixture
def kitchen(sensors: dict[int, Sensor], began: datetime) -> Board:
    board = Board.objects.create(name="kitchen", online=True, since=began)
    SensorStatus.objects.filter(pk=1).update(board=board)
    return board


def leave(board: Board, at: datetime) -> None:
    Board.objects.filter(pk=board.pk).update(online=False, since=at)


def test_a_board_that_is_offline(
    rules: Rules, kitchen: Board, store: BatchStore, stored: Store, now: datetime, began: datetime
) -> None:
    rules(kind="board")
    stored([(1, 1.0)])
    look(store, now)
    assert states() == []
    left = began + timedelta(seconds=100)
    leave(kitchen, left)
    look(store, now)
    assert states() == [("board:kitchen", "firing")]
    assert Incident.objects.get().since == left
    look(store, now, 10)
    assert noted() == told("firing")
    stored([(101, 1.0)])
    look(store, now, 20)
    assert states() == [("board:kitchen", "resolved")]
    assert noted() == told("firing", "resolved")


def test_while_we_are_behind_no_board_is_looked_at(
    rules: Rules, kitchen: Board, store: BatchStore, now: datetime
) -> None:
    rules(kind="board")
    leave(kitchen, now)
    look(store, now, 60, until=0)
    assert states() == []
    look(store, now, 60)
    assert states() == [("board:kitchen", "firing")]
    look(store, now, 100, until=70)
    assert states() == [("board:kitchen", "firing")]


@pytest.mark.parametrize(
    ("of", "fires"), [({}, True), ({"location": "Hall"}, True), ({"location": "Roof"}, False)]
)
def test_boards_of_a_location(
    of: dict[str, object], fires: bool, rules: Rules, kitchen: Board, store: BatchStore, now: datetime
) -> None:
    Sensor.objects.filter(pk=1).update(location="Hall")
    rules(kind="board", **of)
    leave(kitchen, now)
    look(store, now)
    assert bool(states()) is fires


def test_one_board_of_several(rules: Rules, kitchen: Board, store: BatchStore, now: datetime) -> None:
    other = Board.objects.create(name="attic", online=False, since=now)
    rules(kind="board", board=kitchen)
    look(store, now)
    assert states() == []
    rules(kind="board", board=other)
    look(store, now)
    assert states() == [("board:attic", "firing")]


def test_boards_of_one_location_that_leave_at_once_are_one_incident(
    rules: Rules, store: BatchStore, now: datetime
) -> None:
    rules(kind="board")
    for pk in (1, 2, 3):
        board = Board.objects.create(name=f"board {pk}", online=False, since=now)
        SensorStatus.objects.filter(pk=pk).update(board=board)
    Sensor.objects.update(location="Hall")
    look(store, now)
    look(store, now, 10)
    assert Incident.objects.get(part_of=None).subject == "location:Hall"
    assert noted() == told("firing")
    Board.objects.update(online=True)
    look(store, now, 20)
    due.job(store, TimeShare())
    assert not Incident.objects.open().exists()
    assert noted() == told("firing", "resolved")


# --- the pipeline ---------------------------------------------------------------------------------


def hand_over(store: BatchStore, now: datetime) -> Batch:
    batch = Batch(time_ordered_id(), "mqtt:test", [Message(us(now), "iot/measurements", b"{}")])
    store.hand_over(batch, Receipt("test", "", 60))
    return batch


def test_what_waits_too_long(rules: Rules, store: BatchStore, now: datetime) -> None:
    rules(kind="pipeline", check_of="pending")
    batch = hand_over(store, now)
    look(store, now, 50)
    assert states() == []
    look(store, now, 70)
    assert states() == [("pipeline:pending", "firing")]
    assert 60 < (Incident.objects.get().value or 0) < 71
    store.done(batch.id)
    look(store, now, 80)
    assert states() == [("pipeline:pending", "resolved")]
    assert noted() == told("firing", "resolved")


def test_how_long_is_for_the_rule_to_say(rules: Rules, store: BatchStore, now: datetime) -> None:
    rules(kind="pipeline", check_of="pending", high=600.0)
    hand_over(store, now)
    look(store, now, 500)
    assert states() == []
    look(store, now, 700)
    assert states() == [("pipeline:pending", "firing")]


def test_a_process_that_is_silent(rules: Rules, store: BatchStore, now: datetime) -> None:
    rules(kind="pipeline", check_of="process")
    for name in ("bridge", "worker"):
        beat(store.redis, name)
    look(store, now)
    assert states() == [], "one that was never seen has not fallen silent"
    forget(store.redis, ["worker"])
    store.redis.zadd("iot:heartbeats", {"worker": time.time() - 30})
    look(store, now, 10)
    assert states() == [("pipeline:process:worker", "firing")]
    assert 29 < (Incident.objects.get().value or 0) < 90
    store.redis.zrem("iot:heartbeats", "worker")
    look(store, now, 20)
    assert states() == [("pipeline:process:worker", "firing")], "nobody knows any more since when"
    beat(store.redis, "worker")
    look(store, now, 30)
    assert states() == [("pipeline:process:worker", "resolved")]


def test_books_that_do_not_balance(rules: Rules, store: BatchStore, now: datetime) -> None:
    rules(kind="pipeline", check_of="books")
    batch = hand_over(store, now)
    look(store, now)
    assert states() == []
    store.done(batch.id)
    look(store, now, 10)
    assert states() == [("pipeline:books", "firing")]
    assert Incident.objects.get().value == 1
    IngestBatch.objects.create(
        id=batch.id, source="mqtt:test", messages=1, readings=1, stored=1,
        first_received_at=now, last_received_at=now,
    )  # fmt: skip
    look(store, now, 20)
    assert states() == [("pipeline:books", "resolved")]


def test_where_redis_is_away_all_stays_as_it_was(rules: Rules, store: BatchStore, now: datetime) -> None:
    rules(kind="pipeline", check_of="pending")
    hand_over(store, now)
    look(store, now, 70)
    away = BatchStore(connect("redis://127.0.0.1:1/0", 1), 2**20)
    look(away, now, 80)
    assert states() == [("pipeline:pending", "firing")]


# --- when -----------------------------------------------------------------------------------------


def test_the_job_looks_at_most_every_ten_seconds(
    too_much: AlertRule, store: BatchStore, now: datetime
) -> None:
    reject(now, [1])
    due.job(store, TimeShare())
    assert states() == [("sensor:1", "firing")]
    RejectedMessage.objects.all().delete()
    due.job(store, TimeShare())
    assert states() == [("sensor:1", "firing")]
    store.redis.delete("iot:alerts:checked")
    due.job(store, TimeShare())
    assert states() == [("sensor:1", "resolved")]


def test_without_such_a_rule_it_costs_one_statement(
    rules: Rules, store: BatchStore, now: datetime, django_assert_num_queries: object
) -> None:
    rules()
    with django_assert_num_queries(1):  # type: ignore[operator]
        checks.job(store, Reach(now), TimeShare(), now)
