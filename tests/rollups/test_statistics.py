"""What a span comes to is what its rows come to, told in plain Python: to the microsecond."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from monitoring.models import Measurement, Sensor
from monitoring.rollups import statistics
from monitoring.rollups.refresh import refresh
from monitoring.rollups.statistics import Statistics
from monitoring.span import Span
from tests.rollups.rows import DAY, HOUR, MINUTE, Row, store

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 1, tzinfo=UTC)


def expected(rows: list[Row], span: Span) -> Statistics:
    within = [(at, value) for _, at, value in sorted(rows) if span.start <= at < span.end]
    if not within:
        return Statistics()
    values = [value for _, value in within]
    low, high = min(values), max(values)
    return Statistics(
        count=len(values),
        avg=pytest.approx(sum(values) / len(values)),  # type: ignore[arg-type]
        min=low,
        min_at=next(at for at, value in within if value == low),
        max=high,
        max_at=next(at for at, value in within if value == high),
        first=values[0],
        first_at=within[0][0],
        last=values[-1],
        last_at=within[-1][0],
    )


def test_they_are_those_of_the_rows(years: dict[int, Sensor]) -> None:
    chance = random.Random(13)
    rows = [
        (3, START + place * timedelta(seconds=97.003), float(chance.randrange(40))) for place in range(4000)
    ]
    late = [(3, START + chance.random() * 4 * DAY, float(chance.randrange(-2, 43))) for _ in range(40)]
    store(rows)
    refresh()
    store(late)  # which no rollup has taken yet
    rows += late
    ends = [START, START + 4 * DAY, START + HOUR, START + 50 * HOUR, START + 30 * MINUTE]
    ends += [START + chance.random() * 5 * DAY for _ in range(40)]
    ends += [ends[-1] + timedelta(seconds=seconds) for seconds in (1, 40, 90, 200)]
    for _ in range(150):
        start, end = sorted(chance.sample(ends, 2))
        span = Span(start, end)
        assert statistics.read(years[3], span) == expected(rows, span), span


def test_where_rows_have_gone_the_minute_is_what_is_known(years: dict[int, Sensor]) -> None:
    store([(3, START + n * MINUTE + timedelta(seconds=7), float(n % 50)) for n in range(3 * 1440)])
    refresh()
    Measurement.objects.filter(created_at__lt=START + DAY).delete()
    found = statistics.read(years[3], Span(START, START + 2 * DAY))
    assert (found.count, found.min, found.max) == (2880, 0.0, 49.0)
    assert (found.min_at, found.max_at) == (START, START + 49 * MINUTE)
    assert found.last_at == START + 2 * DAY - timedelta(seconds=53)


def test_a_year_costs_two_statements(years: dict[int, Sensor]) -> None:
    store([(3, START + n * HOUR, float(n % 7)) for n in range(24 * 200)])
    refresh()
    with CaptureQueriesContext(connection) as asked:
        statistics.read(years[3], Span(START - 30 * DAY, START + 335 * DAY))
    assert len(asked) == 2


def test_a_series_says_them_where_it_is_asked(years: dict[int, Sensor], settings: Any) -> None:
    settings.API_PUBLIC_READ = True
    store([(3, START + n * MINUTE, float(n)) for n in range(60)])
    span = {"from": START.isoformat(), "to": (START + HOUR).isoformat(), "points": 10}
    path = "/api/monitoring/sensors/3/series/"
    said = APIClient().get(path, {**span, "statistics": "true"}).json()
    assert said["statistics"] == {
        "count": 60,
        "avg": 29.5,
        "min": 0.0,
        "max": 59.0,
        "first": 0.0,
        "last": 59.0,
        "min_at": "2026-03-01T00:00:00Z",
        "max_at": "2026-03-01T00:59:00Z",
        "first_at": "2026-03-01T00:00:00Z",
        "last_at": "2026-03-01T00:59:00Z",
    }
    assert "statistics" not in APIClient().get(path, span).json()
    nothing = APIClient().get(
        path, {"from": "1980-01-01T00:00:00Z", "to": "1980-01-02T00:00:00Z"} | {"statistics": 1}
    )
    assert nothing.json()["statistics"] == vars(Statistics())


def test_gaps_are_what_the_sensors_pace_does_not_explain(years: dict[int, Sensor], settings: Any) -> None:
    settings.API_PUBLIC_READ = True
    minutes = [n for n in range(24 * 60) if not 600 <= n < 720]
    store([(1, START + n * MINUTE, 20.0) for n in minutes])
    store([(2, START + n * 10 * MINUTE, 20.0) for n in range(144) if n not in (50, 51, 52)])
    refresh()

    def ask(sensor: int, points: int, length: timedelta = DAY) -> Any:
        span = {"from": START.isoformat(), "to": (START + length).isoformat(), "points": points}
        return APIClient().get(f"/api/monitoring/sensors/{sensor}/series/", span).json()

    raw, buckets = ask(1, 1440), ask(1, 300)
    assert (raw["resolution"], buckets["resolution"], buckets["step_s"]) == ("raw", "5m", 300)
    assert raw["gaps"] == [{"start": "2026-03-01T09:59:00Z", "end": "2026-03-01T12:00:00Z"}]
    assert buckets["gaps"] == [{"start": "2026-03-01T10:00:00Z", "end": "2026-03-01T12:00:00Z"}]
    assert (raw["interval_s"], buckets["interval_s"]) == (60, 60)
    assert buckets["covered"] == pytest.approx(22 / 24, abs=1e-4)
    # In buckets of five minutes every other one is empty, as it must be.
    slow = ask(2, 300)
    assert (slow["resolution"], slow["interval_s"]) == ("5m", 600)
    assert slow["gaps"] == [{"start": "2026-03-01T08:15:00Z", "end": "2026-03-01T08:50:00Z"}]
    # Of two readings alone none would know that they are an outage apart.
    few = (
        APIClient()
        .get(
            "/api/monitoring/sensors/1/series/",
            {"from": "2026-03-01T09:59:00Z", "to": "2026-03-01T12:00:30Z", "points": 500},
        )
        .json()
    )
    assert len(few["points"]) == 2
    assert few["interval_s"] == 60
    assert len(few["gaps"]) == 1
