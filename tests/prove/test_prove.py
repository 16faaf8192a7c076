"""The proof finds what it is there to find: a row that is missing, one too many, one that was refused."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import connection

from monitoring.decoders import Reading, Refusal, decode
from monitoring.models import Measurement, RejectedMessage
from monitoring.models.measurement_queryset import Incoming
from monitoring.upkeep.partitions import ensure_partitions
from prove.comparison import Comparison, compare
from prove.faults import plan
from prove.streams import Expected, Garbage, Refused, Row, Stream, Untimed, all_expected, make
from prove.system import TARGETS

PROJECT = Path(__file__).parents[2]
NUMBERS = range(12)


def start_us() -> int:
    return int((datetime.now(UTC) - timedelta(hours=1)).timestamp()) * 1_000_000


def every_stream() -> list[Stream]:
    return [stream for each in make(2, start_us(), identity_alone=False, replay=True) for stream in each]


def acknowledged(streams: list[Stream]) -> dict[int, list[int]]:
    return {stream.number: list(NUMBERS) for stream in streams}


@pytest.mark.parametrize("stream", every_stream(), ids=lambda stream: f"{stream.name} {stream.number}")
def test_what_is_expected_is_what_the_payload_says(stream: Stream) -> None:
    for number in NUMBERS:
        for payload in stream.payloads(number):
            said: Counter[Expected] = Counter()
            for item in decode(payload):
                if isinstance(item, Refusal):
                    said[Refused(item.code.value, item.payload)] += 1
                elif isinstance(stream, Garbage):
                    said[Refused("unknown_sensor", payload)] += 1
                else:
                    said[_row(item)] += 1
            assert said == Counter(stream.expected(number))


def _row(reading: Reading) -> Row:
    at = None if reading.ts is None else round(reading.ts.timestamp() * 1e6)
    return Row(reading.sensor_id, at, reading.value)


def test_every_reading_can_be_told_from_every_other() -> None:
    streams = [stream for stream in every_stream() if stream.name != "same bytes"]
    assert set(all_expected(streams, acknowledged(streams)).values()) == {1}


# --- against tables ------------------------------------------------------------------------------


@pytest.fixture
def database_url(transactional_db: None) -> str:
    """Where the comparison, which knows nothing of Django, finds this test's database."""
    settings = connection.settings_dict
    return "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**settings)


@pytest.fixture
def judged(database_url: str) -> Callable[[], Comparison]:
    """Tables that hold what was acknowledged, all of it once."""
    streams = every_stream()
    ensure_partitions(datetime.now(UTC) - timedelta(days=1), datetime.now(UTC))
    now = datetime.now(UTC)
    incoming, refused = [], []
    for place, (one, times) in enumerate(all_expected(streams, acknowledged(streams)).items()):
        if isinstance(one, Refused):
            refused.append(
                RejectedMessage(
                    received_at=now, code=one.code, payload=one.payload, length=1, batch=uuid4(), position=0
                )
            )
            continue
        for time in range(times):
            at = now + timedelta(microseconds=place * 100 + time)
            if one.created_us is not None:
                at = datetime.fromtimestamp(one.created_us / 1e6, UTC)
            incoming.append(Incoming(one.sensor, at, now, one.value, "", True))
    Measurement.objects.ingest(incoming)
    RejectedMessage.objects.bulk_create(refused)
    return lambda: compare(database_url, streams, acknowledged(streams))


def test_it_works(judged: Callable[[], Comparison]) -> None:
    assert judged().is_clean


def test_it_finds_a_row_that_is_lost(judged: Callable[[], Comparison]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM monitoring_measurement WHERE (sensor_id, created_at) IN"
            " (SELECT sensor_id, created_at FROM monitoring_measurement LIMIT 1)"
        )
    assert judged().lost.total() == 1


def test_it_finds_another_value(judged: Callable[[], Comparison]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE monitoring_measurement SET value = -1 WHERE (sensor_id, created_at) IN"
            " (SELECT sensor_id, created_at FROM monitoring_measurement LIMIT 1)"
        )
    found = judged()
    assert (found.lost.total(), found.doubled.total()) == (1, 1)


def test_it_finds_a_row_too_many_and_the_same_bytes_once_too_often(judged: Callable[[], Comparison]) -> None:
    now = datetime.now(UTC)
    untimed, same = (stream for stream in every_stream()[:6] if stream.name in ("without ts", "same bytes"))
    assert isinstance(untimed, Untimed)
    Measurement.objects.ingest(
        [
            Incoming(untimed.sensors[0], now, now, 3, "", False),
            Incoming(same.sensors[0], now, now, 7, "", False),
        ]
    )
    assert judged().doubled.total() == 2


def test_it_finds_a_rejected_message_that_is_good_and_one_that_is_gone(
    judged: Callable[[], Comparison],
) -> None:
    first = RejectedMessage.objects.order_by("pk").first()
    assert first is not None
    first.delete()
    RejectedMessage.objects.create(
        received_at=datetime.now(UTC),
        code="failed",
        payload=b'{"sensor_id": 1000, "value": 0}',
        length=1,
        batch=uuid4(),
        position=0,
    )
    found = judged()
    assert (found.lost.total(), found.wrongly_rejected.total()) == (1, 1)


# --- what happens, and when ----------------------------------------------------------------------


def test_a_seed_decides_the_faults() -> None:
    assert plan(7, 60, 20, 4, TARGETS) == plan(7, 60, 20, 4, TARGETS)
    assert plan(7, 60, 20, 4, TARGETS) != plan(8, 60, 20, 4, TARGETS)


def test_every_target_has_its_turn() -> None:
    faults = plan(7, 600, len(TARGETS) * 2, len(TARGETS), TARGETS)
    assert {(fault.act, fault.target) for fault in faults} == {
        (act, target) for act in ("kill", "stop") for target in TARGETS
    }
    assert all(0 < fault.at < 600 for fault in faults)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "bridge,toaster"], "--only: no such thing as toaster; there are bridge, worker"),
        (["--only", ""], "--only names nothing to hurt"),
        (["--seconds", "1"], "--seconds must be at least 10"),
    ],
)
def test_a_wrong_option_is_said(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prove", *arguments], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert said in done.stderr
