"""What strangers send costs no more than what was agreed: rows, bytes, sensors, partitions."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from batches.batch import Batch, Message, time_ordered_id, to_datetime
from batches.store import BatchStore
from monitoring.checks import DAYS
from monitoring.decoders import Code, Refusal, decode
from monitoring.ingest import ingest, refused
from monitoring.ingest.refused import FEW_BYTES, STORED_FOR_RECEIVED
from monitoring.models import IngestBatch, Measurement, RejectedMessage, RejectedTally, RetentionRun, Sensor
from monitoring.models.rejected import as_ranges, from_ranges
from monitoring.upkeep.giving_way import give_way
from monitoring.upkeep.partitions import existing
from monitoring.upkeep.pieces import TimeShare

HandOver = Callable[..., Batch]
ONES = b"[" + b",".join([b"1"] * 8191) + b"]"
TOPIC = "iot/measurements"


def array(element: bytes, most: int = 16 * 1024) -> bytes:
    return b"[" + b",".join([element] * ((most - 2) // (len(element) + 1))) + b"]"


def taken_on_disk() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size('monitoring_rejectedmessage')")
        return int(cursor.fetchone()[0])


def seen_by_code() -> dict[str, int]:
    return {code: sums["seen"] for code, sums in RejectedTally.objects.by_code().items()}


# --- what is kept of refused elements -----------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        ONES,
        array(b"1,{}"),
        array(b'1,{},{"sensor_id":true,"value":1}'),
        array(b'{"sensor_id":77,"value":1}'),
        array(b'{"sensor_id":1,"value":1},2'),
        array(b'"\\u0000"'),
        array(b"1", 4096),
    ],
    ids=["ones", "two codes", "three codes", "unknown", "every other", "NUL", "short"],
)
def test_an_array_costs_four_bytes_for_each_received(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver, payload: bytes
) -> None:
    batch = hand_over(*[payload] * 8)
    before = taken_on_disk()

    ingest(store, batch.id)

    received = 8 * (len(payload) + len(TOPIC))
    assert sum(row.cost for row in RejectedMessage.objects.all()) <= STORED_FOR_RECEIVED * received
    # A page or two of each index, and of the table, are there for the next ones.
    assert taken_on_disk() - before <= STORED_FOR_RECEIVED * received + 15 * 8192
    entry = IngestBatch.objects.get()
    assert entry.readings == 8 * len(decode(payload))
    assert entry.rejected == sum(seen_by_code().values()) == entry.readings - entry.stored
    assert sum(row.elements for row in RejectedMessage.objects.all()) == entry.rejected


def test_a_message_kept_whole_says_which_elements_and_why(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    payload = b"[" + b",".join([b"1"] * 2000 + [b'{"sensor_id":1,"value":20}'] + [b"{}"] * 1000) + b"]"
    batch = hand_over(payload)
    ingest(store, batch.id)

    row = RejectedMessage.objects.get()
    assert (bytes(row.payload), row.length, row.index) == (payload, len(payload), None)
    assert (row.batch, row.position, row.elements) == (batch.id, 0, 3000)
    assert row.refused() == {
        "not_an_object": list(range(2000)),
        "missing_field": list(range(2001, 3001)),
    }
    assert row.code == "not_an_object"
    assert row.detail.startswith(
        "elements refused: 2000 not_an_object, 1000 missing_field; the first of them"
    )
    assert seen_by_code() == {"not_an_object": 2000, "missing_field": 1000}
    assert {code: sums["kept"] for code, sums in RejectedTally.objects.by_code().items()} == seen_by_code()
    # Replay has what it needs: the payload, decoded again, and the indexes of what to take of it.
    again = {item.index: item.code for item in decode(bytes(row.payload)) if isinstance(item, Refusal)}
    assert again == {index: code for code, indexes in row.refused().items() for index in indexes}


def test_small_arrays_are_kept_apart_while_they_are_few(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    ingest(store, hand_over(*[b"[1,1,1,1]"] * 500).id)

    apart = RejectedMessage.objects.filter(index__isnull=False)
    whole = RejectedMessage.objects.filter(index__isnull=True)
    assert 4 <= apart.count() <= FEW_BYTES // 240
    assert apart.count() / 4 + whole.count() == 500
    assert seen_by_code() == {"not_an_object": 2000}


def noise() -> list[bytes]:
    random = Random(1)
    return [random.randbytes(900) for _ in range(1000)]


@pytest.mark.parametrize("is_long", [False, True], ids=["short", "long"])
def test_a_row_costs_what_it_says(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver, is_long: bool
) -> None:
    """Within a quarter of what PostgreSQL has on its disk for it, indexes included."""
    payloads = noise() if is_long else [b"garbage"] * 1000
    with connection.cursor() as cursor:
        # In files of its own: a vacuum gives back what other tests left in the old ones.
        cursor.execute("TRUNCATE monitoring_rejectedmessage")
    before = taken_on_disk()
    ingest(store, hand_over(*payloads).id)
    cost = sum(row.cost for row in RejectedMessage.objects.all())
    assert 0.75 <= cost / (taken_on_disk() - before) <= 1.25


def test_the_hours_cap_counts_rows_as_they_cost(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver, settings: LazySettings
) -> None:
    settings.REJECTED_MAX_BYTES_PER_HOUR = 100_000
    for _ in range(4):
        ingest(store, hand_over(*[ONES] * 4).id)
    for tally in RejectedTally.objects.all():
        assert tally.kept_bytes == tally.held_bytes <= 100_000
    assert RejectedTally.objects.held_bytes() == sum(row.cost for row in RejectedMessage.objects.all())
    assert seen_by_code() == {"not_an_object": 16 * 8191}
    assert RejectedTally.objects.by_code()["not_an_object"]["kept"] < 16 * 8191


@pytest.mark.parametrize("indexes", [[0], [0, 1, 2], [0, 2, 3, 9], [7]])
def test_ranges_come_back(indexes: list[int]) -> None:
    assert from_ranges(as_ranges(indexes)) == indexes


# --- all of them together ------------------------------------------------------------------------


def reject(code: str, topic: str, at: datetime, count: int, size: int = 10_000) -> None:
    """Rows as ingest keeps them, with their tallies."""
    rows = [
        RejectedMessage(
            received_at=at + timedelta(seconds=place),
            topic=topic,
            payload=bytes(size),
            length=size,
            code=code,
            batch=UUID(int=1),
            position=place,
        )
        for place in range(count)
    ]
    hour = at.replace(minute=0, second=0, microsecond=0)
    RejectedMessage.objects.keep({(code, hour): count}, rows, 2**40)


@pytest.fixture
def at_two(noon: datetime) -> datetime:
    return noon + timedelta(hours=2)


def test_while_there_is_room_none_gives_way(db: None, at_two: datetime, settings: LazySettings) -> None:
    settings.REJECTED_MAX_BYTES = 2**20
    reject("not_json", "t", at_two, 50)
    with CaptureQueriesContext(connection) as queries:
        assert give_way(TimeShare()) == 0
    assert len(queries) == 1
    assert "monitoring_rejectedmessage" not in queries[0]["sql"]


def test_the_oldest_of_the_loudest_give_way(db: None, at_two: datetime, settings: LazySettings) -> None:
    settings.REJECTED_MAX_BYTES = 2**20
    reject("unknown_sensor", "iot/hall", at_two - timedelta(hours=1), 20)
    reject("not_json", "iot/noise", at_two, 100)
    reject("not_json", "iot/other", at_two, 5)

    gone = give_way(TimeShare())

    left = Counter(RejectedMessage.objects.values_list("code", "topic"))
    assert left["unknown_sensor", "iot/hall"] == 20
    assert left["not_json", "iot/other"] == 5
    assert left["not_json", "iot/noise"] == 100 - gone
    newest = RejectedMessage.objects.filter(topic="iot/noise").values_list("position", flat=True)
    assert sorted(newest) == list(range(gone, 100))
    held = sum(row.cost for row in RejectedMessage.objects.all())
    assert 0.88 * 2**20 <= held <= 0.9 * 2**20
    assert RejectedTally.objects.held_bytes() == held
    tallied = RejectedTally.objects.by_code()["not_json"]
    assert (tallied["seen"], tallied["kept"], tallied["given_way"]) == (105, 105, gone)
    assert tallied["waiting"] == RejectedMessage.objects.filter(code="not_json").count() == 105 - gone
    run = RetentionRun.objects.get()
    assert (run.kind, run.target, run.rows) == ("gave_way", "not_json iot/noise", gone)
    assert give_way(TimeShare()) == 0


def test_a_flood_under_hundreds_of_topics_is_one(db: None, at_two: datetime, settings: LazySettings) -> None:
    settings.REJECTED_MAX_BYTES = 2**20
    reject("unknown_sensor", "iot/hall", at_two - timedelta(hours=1), 20)
    for number in range(220):
        reject("unknown_sensor", f"iot/{number}", at_two + timedelta(seconds=number), 1, 5000)

    give_way(TimeShare())

    assert RejectedMessage.objects.filter(topic="iot/hall").count() == 20
    assert RejectedMessage.objects.filter(topic="iot/0").count() == 0
    assert RejectedMessage.objects.filter(topic="iot/219").count() == 1


# --- sensors, partitions, moments ----------------------------------------------------------------


def test_sensors_that_register_themselves_have_a_cap(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver, settings: LazySettings
) -> None:
    settings.AUTO_REGISTER_SENSORS, settings.AUTO_REGISTER_MAX_SENSORS = True, 10
    flood = [{"sensor_id": number, "value": 1} for number in range(100, 600)]
    ingest(store, hand_over(json.dumps(flood).encode()).id)
    ingest(store, hand_over(b'{"sensor_id": 9000, "value": 1}', b'{"sensor_id": 1, "value": 1}').id)

    assert Sensor.objects.count() == 10
    assert Measurement.objects.filter(sensor__gte=100).count() == 7
    assert seen_by_code() == {"unknown_sensor": 494}
    refused = RejectedMessage.objects.order_by("-received_at")[0]
    assert refused.detail == (
        "there is no sensor 9000, and none is made: AUTO_REGISTER_MAX_SENSORS=10 are there"
    )


def test_a_ts_of_each_day_makes_the_partitions_of_the_retention_and_no_more(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver, settings: LazySettings
) -> None:
    now = datetime.now(UTC).timestamp()
    flood = [{"sensor_id": 1, "value": 1, "ts": round(now) - 86_400 * day} for day in range(-400, 2000, 8)]
    ingest(store, hand_over(json.dumps(flood).encode()).id)

    assert len(existing()) <= (settings.RETENTION_DAYS + 40) // DAYS["month"] + 2
    entry = IngestBatch.objects.get()
    assert entry.stored + entry.rejected == len(flood)


def test_arrays_without_times_take_moments_side_by_side_at_a_price_of_their_length(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    """Each element that found its microsecond taken once cost three statements: four seconds for 1,600."""
    many = array(b'{"sensor_id":1,"value":1}', 2600)
    start = int(datetime.now(UTC).timestamp() * 1_000_000)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(2):
            ingest(store, hand_over(*[many] * 16, start_us=start).id)

    assert len(queries) < 60
    count = 2 * 16 * len(decode(many))
    assert IngestBatch.objects.sums()["stored"] == Measurement.objects.count() == count
    moments = Measurement.objects.order_by("created_at").values_list("created_at", flat=True)
    assert list(moments) == [to_datetime(start + place) for place in range(count)]


def test_a_few_long_elements_are_kept_in_one_row_too() -> None:
    """Their number alone does not say that they cost too much."""
    refusals = [Refusal(Code.BAD_TYPE, "x" * 1000, b"1", place) for place in range(10)]
    batch = Batch(time_ordered_id(), "mqtt:test", [Message(1, TOPIC, b"[" + b"1," * 9 + b"1]")])
    (row,) = refused.rows(batch, {0: refusals})
    assert (row.index, row.elements) == (None, 10)


@pytest.mark.parametrize("sensor_id", [None, 12])
@pytest.mark.parametrize("payload", [b"", b"x" * 1000])
def test_what_a_row_will_cost_is_what_it_costs(sensor_id: int | None, payload: bytes) -> None:
    """It is worked out before there is a row."""
    refusal = Refusal(Code.UNIT_MISMATCH, "°C, for one", payload, 3, sensor_id)
    batch = Batch(time_ordered_id(), "mqtt:test", [Message(1, "iot/é", b"[1]")])
    (row,) = refused.rows(batch, {0: [refusal]})
    assert refused._cost("iot/é", refusal) == row.cost
