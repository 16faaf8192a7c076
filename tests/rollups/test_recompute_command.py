"""`manage.py recompute_rollups`: after rows were changed or deleted by SQL."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from monitoring.management.commands import recompute_rollups as command
from monitoring.models import Measurement, Sensor
from monitoring.rollups.refresh import refresh
from tests.rollups.rows import DAY, HOUR, buckets, expected, store

START = datetime(2026, 3, 28, 22, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def said(*sensors: int, start: datetime = START, end: datetime = START + 3 * DAY) -> str:
    err = StringIO()
    asked = [f"--sensor={number}" for number in sensors]
    call_command(
        "recompute_rollups", *asked, f"--from={start.isoformat()}", f"--to={end.isoformat()}", stderr=err
    )
    return err.getvalue()


def test_it_works(years: dict[int, Sensor]) -> None:
    for sensor in (1, 3):
        store([(sensor, START + place * 7 * HOUR, float(place)) for place in range(10)])
    refresh()
    Measurement.objects.filter(value__in=(2, 5)).delete()
    Measurement.objects.filter(value=7).update(value=70)
    wrong = buckets()

    # 70 h, up to a row of its own: what lies outside stays.
    assert "9 minutes of 1 sensors" in said(3, end=START + 62 * HOUR)
    right = expected()
    for name, found in buckets().items():
        for key, bucket in found.items():
            assert bucket == (right[name][key] if key[0] == 3 else wrong[name][key])

    said()
    assert buckets() == expected()


def test_a_piece_is_a_sensors_day(years: dict[int, Sensor], monkeypatch: Any) -> None:
    pieces = []
    monkeypatch.setattr(
        command, "recompute", lambda *piece: pieces.append(piece) or command.Refreshed(minutes=1)
    )
    assert "6 minutes" in said(1, 3, end=START + DAY + 3 * HOUR)
    assert pieces[:3] == [
        (1, START, START + 2 * HOUR),
        (1, START + 2 * HOUR, START + 26 * HOUR),
        (1, START + 26 * HOUR, START + 27 * HOUR),
    ]


def test_what_is_wrong_is_said(years: dict[int, Sensor]) -> None:
    with pytest.raises(CommandError, match="must lie before"):
        said(3, end=START)
    with pytest.raises(CommandError, match="no sensor 98, 99"):
        said(3, 99, 98)
    with pytest.raises(CommandError, match="--from"):
        call_command("recompute_rollups", "--from", "yesterday", "--to", "2026-01-01T00:00:00Z")


def test_stopped_it_says_what_to_do(years: dict[int, Sensor], monkeypatch: Any) -> None:
    store([(3, START, 1.0), (3, START + DAY, 1.0)])
    refresh()
    Measurement.objects.all().delete()
    recompute, calls = command.recompute, []

    def stopped(*piece: Any) -> Any:
        calls.append(piece)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return recompute(*piece)

    with monkeypatch.context() as patched:
        patched.setattr(command, "recompute", stopped)
        with pytest.raises(CommandError, match="does it anew"):
            said(3)
    # The first day is done.
    assert [start for _, start in buckets()["minute"]] == [START + DAY]
    said(3)
    assert buckets() == expected()
