"""The fast way and the sure way come to the same, whatever a batch holds."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import transaction
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from batches.batch import Batch, Message, time_ordered_id
from monitoring.decoders.timestamp import moment
from monitoring.ingest import after_commit, columns
from monitoring.ingest.columns import Plain, microseconds
from monitoring.ingest.sensors import Accepted
from monitoring.ingest.ways import at_once, decode_message
from monitoring.models import IngestBatch, Measurement, RejectedMessage, Sensor, measurement_queryset
from tests.examples import examples

pytestmark = pytest.mark.django_db
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# --- times ---------------------------------------------------------------------------------------


@given(st.floats(0, 253_402_300_799, allow_nan=False) | st.integers(0, 253_402_300_799))
@example(0.5e-6)
@example(1.5e-6)
@example(2.5e-6)
@example(1769612875.9999995)
@example(1769612875.9999999)
@example(253_402_300_799)
@hypothesis_settings(max_examples=examples(2000))
def test_a_number_is_rounded_as_a_moment_is(ts: float) -> None:
    assert microseconds(ts) == (moment(ts) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "ts", [-1.5, 1e12, 1e300, float(253_402_300_800), "yesterday", "2026-01-28T15:07:55"]
)
def test_what_is_no_moment_is_none_here(ts: float | str) -> None:
    try:
        expected = (moment(ts) - EPOCH) // timedelta(microseconds=1)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 -- its text is `moment`'s
            microseconds(ts)
    else:
        assert microseconds(ts) == expected


# --- where plain readings meet others ------------------------------------------------------------


def test_readings_without_a_time_ask_for_moments_side_by_side() -> None:
    one, two = b'{"sensor_id": 1, "value": 1}', b'{"sensor_id": 2, "value": 1}'
    message = Message(1000, "t", b"[" + b",".join([one, two, one]) + b"]")

    def meet(sensor_id: int, us: int) -> bool:
        plain = Plain(sensor_id, us, 1, us, 1.0, (sensor_id, None, None))
        return columns.meet([plain], [message], [(0, decode_message(message))])

    assert [meet(1, us) for us in (999, 1000, 1001, 1002)] == [False, True, True, False]
    assert [meet(2, us) for us in (999, 1000, 1001)] == [False, True, False]


# --- what others want to know --------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 5), st.sampled_from([-1.5, 0.0, 1.0, 2.5])), max_size=12
    )
)
@example([(1, 1, 2.0), (1, 3, 1.0), (1, 2, 4.0), (1, 0, 3.0), (1, 3, 2.0)])
def test_the_newest_of_plain_readings_is_that_of_their_rows(rows: list[tuple[int, int, float]]) -> None:
    plain = [
        Plain(sensor_id, us, position, us, value, (sensor_id, None, "V"))
        for position, (sensor_id, us, value) in enumerate(rows)
    ]
    accepted = {row.key: Accepted("V", None) for row in plain}
    assert columns._newest(sorted(plain), accepted) == after_commit.newest_of((*row, "V") for row in rows)


# --- batches -------------------------------------------------------------------------------------


@pytest.fixture
def forgetful() -> Iterator[None]:
    """Nobody is remembered for what an earlier batch sent."""
    columns.forget_doubles()
    yield
    columns.forget_doubles()


def _now_us() -> int:
    return int(datetime.now(UTC).timestamp()) * 1_000_000


_ids = st.sampled_from([1, 1, 1, 2, 3, 4, 99])
_values: st.SearchStrategy[Any] = st.sampled_from([1, 2, 2.5, -0.0, 1e300, "21", None, True])
_offsets = st.sampled_from(
    [0, 1, 2, 3, -10, 60_000_000, 400_000_000, -86_400_000_000 * 800, -86_400_000_000 * 6]
)
_forms = st.sampled_from(["none", "none", "number", "number", "text", "bad"])


@st.composite
def _objects(draw: st.DrawFn) -> tuple[dict[str, Any], str, int]:
    """Fields, the form of `ts`, and how many microseconds it lies from the batch's beginning."""
    fields: dict[str, Any] = {"sensor_id": draw(_ids), "value": draw(_values)}
    if (kind := draw(st.sampled_from([None, None, "temperature", "light", "a\tb"]))) is not None:
        fields["type"] = kind
    if (unit := draw(st.sampled_from([None, None, "°C", "V", "\u2103", "", "\u200b"]))) is not None:
        fields["unit"] = unit
    return fields, draw(_forms), draw(_offsets)


_payloads = st.one_of(
    _objects(),
    st.lists(_objects(), max_size=3),
    st.sampled_from(
        [b"garbage", b"\xff", b"", b"[]", b"{}", b'{"sensor_id": 1, "value": NaN}', b"x" * 17_000]
    ),
)
_messages = st.lists(
    st.tuples(_payloads, st.sampled_from([False, False, False, True])), min_size=1, max_size=12
)


def _payload(said: Any, start_us: int) -> bytes:
    if isinstance(said, bytes):
        return said
    if isinstance(said, list):
        return b"[" + b",".join(_payload(one, start_us) for one in said) + b"]"
    fields, form, offset = said
    us = start_us + offset
    if form == "number":
        fields = fields | {"ts": us / 1e6}
    elif form == "text":
        fields = fields | {"ts": (EPOCH + timedelta(microseconds=us)).isoformat()}
    elif form == "bad":
        fields = fields | {"ts": "yesterday"}
    return json.dumps(fields).encode()


def _outcome() -> tuple[Any, ...]:
    """All that a batch leaves behind, but for ids and the time of the entry."""
    rows = Counter(Measurement.objects.values_list("sensor_id", "created_at", "received_at", "value", "unit"))
    refused = Counter(
        (*rest, bytes(payload), re.sub("nothing before [^ ]+", "", detail))
        for payload, detail, *rest in RejectedMessage.objects.values_list(
            "payload", "detail", "received_at", "topic", "code", "position", "index", "length", "retained"
        )
    )
    counts = "messages", "readings", "stored", "duplicates", "rejected", "touched_sensors", "touched_minutes"
    entries = sorted(map(str, IngestBatch.objects.values_list(*counts)))
    return rows, refused, entries


def _after(way: Any, first: Batch | None, batch: Batch) -> tuple[Any, ...]:
    """What a way leaves behind after another batch; all of it is taken back."""
    try:
        with transaction.atomic():
            columns.forget_doubles()
            if first is not None:
                at_once(first)
            way(batch)
            left = _outcome()
            raise _BackError
    except _BackError:
        return left


def surely(batch: Batch) -> IngestBatch | None:
    """As if nothing of it were plain."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(columns, "read", lambda batch: ([], list(range(len(batch.messages)))))
        return at_once(batch)


class _BackError(Exception):
    pass


@given(_messages, st.none() | _messages)
@hypothesis_settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_both_ways_come_to_the_same(
    sensors: dict[int, Sensor], forgetful: None, messages: list[Any], before: list[Any] | None
) -> None:
    Sensor.objects.get_or_create(id=4, defaults={"name": "off", "is_active": False})
    Sensor.objects.filter(pk=3).update(retention_days=5)
    start_us = _now_us()

    def batch(said: list[Any], shift: int) -> Batch:
        made = [
            Message(start_us + shift + place, "iot/measurements", _payload(one, start_us)[:16_384], retained)
            for place, (one, retained) in enumerate(said)
        ]
        return Batch(time_ordered_id(), "mqtt:test", made)

    first = None if before is None else batch(before, 0)
    second = batch(messages, 0)
    assert _after(at_once, first, second) == _after(surely, first, second)


@pytest.mark.parametrize("said", [{"type": "a\tb", "unit": "V"}, {"type": "light", "unit": "\u200b"}])
def test_what_cannot_be_printed_is_for_the_sure_way_to_judge(
    sensors: dict[int, Sensor], forgetful: None, said: dict[str, str]
) -> None:
    """Also of a sensor that takes any type and unit."""
    Sensor.objects.register([Sensor(id=5, name="any")])
    payload = json.dumps({"sensor_id": 5, "value": 1} | said).encode()
    batch = Batch(time_ordered_id(), "mqtt:test", [Message(_now_us(), "t", payload)])
    assert _after(at_once, None, batch) == _after(surely, None, batch)


def _plain(count: int, start_us: int, sensor: int = 1) -> Batch:
    payload = b'{"sensor_id": %d, "value": %d, "ts": %d.%06d}'
    messages = [
        Message(
            start_us + n, "t", payload % (sensor, n, *divmod(start_us - (count - n) * 1_000_000, 1_000_000))
        )
        for n in range(count)
    ]
    return Batch(time_ordered_id(), "mqtt:test", messages)


def test_plain_readings_go_the_fast_way_alone(
    sensors: dict[int, Sensor], forgetful: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the sure way was taken")

    monkeypatch.setattr(measurement_queryset, "_copy", never)
    entry = at_once(_plain(50, _now_us()))
    assert entry is not None
    assert (entry.stored, entry.duplicates, entry.rejected) == (50, 0, 0)
    assert Measurement.objects.count() == 50


def test_they_are_told_of_on_the_fast_way_too(
    sensors: dict[int, Sensor], forgetful: None, django_capture_on_commit_callbacks: Any
) -> None:
    told: list[after_commit.Committed] = []
    after_commit.subscribe(told.append)
    start_us = _now_us() - 60_000_000
    messages = [
        Message(start_us + n, "iot/hall/measurements", b'{"sensor_id": 1, "value": %d}' % n) for n in range(3)
    ]
    batch = Batch(time_ordered_id(), "mqtt:test", messages)
    with django_capture_on_commit_callbacks(execute=True):
        at_once(batch)
    after_commit._waiting.join()
    newest = after_commit.Newest(3, start_us + 2, 2.0, "°C", start_us, 0.0, 2.0)
    assert told == [after_commit.Committed(batch.id, {1: newest}, {}, {1: "hall"})]


def test_a_reading_on_a_topic_of_boards_is_none(
    sensors: dict[int, Sensor], forgetful: None, settings: LazySettings
) -> None:
    settings.MQTT_STATUS_TOPICS = ("iot/status/+",)
    batch = Batch(
        time_ordered_id(),
        "mqtt:test",
        [
            Message(_now_us() + place, topic, b'{"sensor_id": 1, "value": 2}')
            for place, topic in enumerate(["iot/status/hall", "iot/measurements"])
        ],
    )
    entry = at_once(batch)
    assert entry is not None
    assert (entry.readings, entry.stored, entry.rejected) == (2, 1, 1)
    assert RejectedMessage.objects.get().code == "bad_status"


def test_a_sensor_that_repeats_itself_pays_for_it_once(
    sensors: dict[int, Sensor], forgetful: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []
    copy = columns.copied

    def counting(rows: list[bytes]) -> bool:
        done = copy(rows)
        if not done:
            refused.append(len(rows))
        return done

    monkeypatch.setattr(columns, "copied", counting)
    batch = _plain(10, _now_us())
    at_once(batch)
    for _ in range(3):
        entry = at_once(batch._replace(id=time_ordered_id()))
        assert entry is not None
        assert entry.duplicates == 10
    assert refused == [10]
    # The others are none the slower for it.
    entry = at_once(_plain(10, _now_us(), sensor=2))
    assert entry is not None
    assert (entry.stored, refused) == (10, [10])


def test_it_is_remembered_for_a_while(forgetful: None, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(columns.time, "monotonic", lambda: now)
    columns.note_doubles([7])
    assert columns._doubles.remembers(7)
    now += columns.REMEMBER_SECONDS
    assert not columns._doubles.remembers(7)


def test_a_batch_that_is_done_leaves_nothing(sensors: dict[int, Sensor], forgetful: None) -> None:
    batch = _plain(5, _now_us())
    at_once(batch)
    assert at_once(batch) is None
    assert Measurement.objects.count() == 5
    assert IngestBatch.objects.count() == 1
