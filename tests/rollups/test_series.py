"""A series says what the rows say, in few points, on the days of whoever asks."""

import re
from collections import defaultdict
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from monitoring.models import HourRollup, Measurement, MinuteRollup, Sensor
from monitoring.rollups import series
from monitoring.rollups.levels import LEVELS
from monitoring.rollups.refresh import refresh
from monitoring.span import Span
from monitoring.upkeep.partitions import ensure_partitions
from tests.examples import examples
from tests.plans import plan
from tests.rollups.rows import DAY, HOUR, MINUTE, Row, store

START = datetime(2026, 3, 1, tzinfo=UTC)
API = "/api/monitoring/"
pytestmark = pytest.mark.django_db


@pytest.fixture
def client(settings: Any) -> APIClient:
    settings.API_PUBLIC_READ = True
    return APIClient()


def ask(client: APIClient, path: str = "sensors/3/series/", **query: Any) -> Any:
    response = client.get(API + path, query)
    assert response.status_code == 200, response.content
    return response.json()


def every(step: timedelta, length: timedelta, start: datetime = START, sensor: int = 3) -> list[Row]:
    return [(sensor, start + place * step, float(place % 7)) for place in range(length // step)]


def span_of(length: timedelta, start: datetime = START) -> dict[str, str]:
    return {"from": start.isoformat(), "to": (start + length).isoformat()}


def values(low: float, high: float, first: float, last: float) -> dict[str, float]:
    return {"min": low, "max": high, "first": first, "last": last}


def test_it_works(client: APIClient, years: dict[int, Sensor]) -> None:
    store([(3, START + 10 * MINUTE, 2.0), (3, START, 3.0), (3, START + HOUR, 4.0)])
    refresh()
    assert ask(client, points=24, **span_of(DAY)) == {
        "sensor": 3,
        "resolution": "1h",
        "unit": "V",
        "points": [
            {"start": "2026-03-01T00:00:00Z", "count": 2, "avg": 2.5, **values(2.0, 3.0, 3.0, 2.0)},
            {"start": "2026-03-01T01:00:00Z", "count": 1, "avg": 4.0, **values(4.0, 4.0, 4.0, 4.0)},
        ],
        "coverage": 0.0833,
        "step_s": 3600.0,
        "interval_s": 1800.0,
        "gaps": [],
        "covered": 0.0833,
    }


def test_few_rows_come_as_they_are(client: APIClient, years: dict[int, Sensor]) -> None:
    at = START + timedelta(microseconds=123456)
    store([(3, at, 2.0), (3, at + MINUTE, 3.0)])
    said = ask(client, **span_of(HOUR))
    assert (said["resolution"], said["coverage"]) == ("raw", 0.0333)
    assert said["points"][0] == {
        "start": "2026-03-01T00:00:00.123456Z",
        "count": 1,
        "avg": 2.0,
        **values(2.0, 2.0, 2.0, 2.0),
    }
    assert ask(client, points=60, **span_of(HOUR))["resolution"] == "raw"
    store(every(timedelta(seconds=7), HOUR))
    assert ask(client, points=60, **span_of(HOUR))["resolution"] == "1m"


@pytest.mark.parametrize(
    ("length", "points", "resolution"),
    [
        (DAY, 500, "5m"),
        (7 * DAY, 500, "30m"),
        (30 * DAY, 500, "2h"),
        (365 * DAY, 500, "1d"),
        (730 * DAY, 500, "2d"),
        (730 * DAY, 2000, "12h"),
        (730 * DAY, 1, "730d"),
        (HOUR, 1, "1h"),
        (HOUR + MINUTE, 1, "2h"),
    ],
)
def test_the_resolution_is_the_finest_that_fits(
    client: APIClient, years: dict[int, Sensor], length: timedelta, points: int, resolution: str
) -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    store(every(length / 50, length, start))
    refresh()
    said = ask(client, points=points, **span_of(length, start))
    assert said["resolution"] == resolution
    assert 1 <= len(said["points"]) <= points
    assert sum(point["count"] for point in said["points"]) == 50


def test_what_is_older_than_the_minutes_kept_comes_in_hours(
    client: APIClient, sensors: dict[int, Sensor], settings: Any
) -> None:
    settings.ROLLUP_MINUTE_RETENTION_DAYS = settings.RETENTION_DAYS = 5
    settings.ROLLUP_HOUR_RETENTION_DAYS = 20
    now = datetime.now(UTC)
    said = [ask(client, **span_of(DAY, now - days * DAY))["resolution"] for days in (3, 10, 30)]
    assert said == ["5m", "1h", "1d"]


def test_what_no_refresh_has_taken_is_there(client: APIClient, years: dict[int, Sensor]) -> None:
    store(every(MINUTE, DAY))
    refresh()
    # A late row in a minute that is rolled up, one in a new minute, one of another sensor.
    late, new = START + 3 * HOUR + MINUTE / 2, START + DAY + HOUR + 5 * MINUTE
    store([(3, late, 100.0), (3, new, 200.0), (1, late, 999.0)])
    for points in (1500, 300, 30, 2):
        before = ask(client, points=points, **span_of(30 * HOUR))
        assert sum(point["count"] for point in before["points"]) == 1442
        assert max(point["max"] for point in before["points"]) == 200.0
        with transaction.atomic():
            refresh()
            assert ask(client, points=points, **span_of(30 * HOUR)) == before
            transaction.set_rollback(True)


def test_the_last_day_unless_told_otherwise(client: APIClient, sensors: dict[int, Sensor]) -> None:
    now = datetime.now(UTC)
    store([(3, now - MINUTE, 1.0), (3, now - 23 * HOUR, 2.0), (3, now - 25 * HOUR, 3.0)])
    assert [point["max"] for point in ask(client)["points"]] == [2.0, 1.0]
    earlier = {"to": (now - 2 * HOUR).isoformat()}
    assert [point["max"] for point in ask(client, **earlier)["points"]] == [3.0, 2.0]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Paris", datetime(2026, 3, 29), 23),
        ("Europe/Paris", datetime(2026, 10, 25), 25),
        ("Europe/Paris", datetime(2026, 7, 1), 24),
        ("Europe/London", datetime(2026, 3, 29), 23),
        # There the clocks skip midnight: the day begins at one o'clock.
        ("Africa/Cairo", datetime(2026, 4, 24), 23),
        ("Asia/Kathmandu", datetime(2026, 4, 24), 24),
    ],
)
def test_days_are_those_of_the_zone(
    client: APIClient, years: dict[int, Sensor], zone: str, day: datetime, hours: int
) -> None:
    midnight = day.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    store(every(5 * MINUTE, 5 * DAY, midnight - 2 * DAY))
    refresh()
    said = ask(client, points=5, tz=zone, **span_of(4 * DAY, midnight - DAY))
    assert said["resolution"] == "1d"
    (point,) = [point for point in said["points"] if datetime.fromisoformat(point["start"]) == midnight]
    assert point["count"] == hours * 12


def test_old_days_are_shown_when_hours_and_minutes_are_gone(
    client: APIClient, years: dict[int, Sensor]
) -> None:
    store(every(10 * MINUTE, 3 * DAY))
    refresh()
    MinuteRollup.objects.all().delete()
    said = ask(client, points=4, tz="Asia/Kolkata", **span_of(3 * DAY))
    assert sum(point["count"] for point in said["points"]) == 3 * 144
    HourRollup.objects.all().delete()
    said = ask(client, points=4, tz="Asia/Kolkata", **span_of(3 * DAY))
    assert sum(point["count"] for point in said["points"]) == 3 * 144


def test_an_hour_that_is_cut_and_has_no_minutes_any_more_makes_no_point_of_its_own(
    client: APIClient, years: dict[int, Sensor]
) -> None:
    store(every(20 * MINUTE, 5 * HOUR))
    refresh()
    MinuteRollup.objects.all().delete()
    said = ask(client, points=1, **span_of(3 * HOUR, START + HOUR / 2))
    assert [(point["start"], point["count"]) for point in said["points"]] == [("2026-03-01T00:30:00Z", 12)]
    assert said["coverage"] == 1


def test_several_sensors_at_once(client: APIClient, years: dict[int, Sensor]) -> None:
    store([(3, START, 2.0), (1, START, 20.0)])
    said = ask(client, "series/", sensor=[3, 1, 2], **span_of(HOUR))
    assert [(one["sensor"], one["unit"], len(one["points"])) for one in said] == [
        (3, "V", 1),
        (1, "°C", 1),
        (2, "%", 0),
    ]
    assert said[0] == ask(client, **span_of(HOUR))


def test_the_unit_is_the_last_ones_where_the_sensor_has_none(
    client: APIClient, years: dict[int, Sensor]
) -> None:
    Sensor.objects.filter(pk=3).update(unit="")
    assert ask(client, **span_of(HOUR))["unit"] == ""
    store([(3, START, 2.0)], unit="lx")
    assert ask(client, **span_of(HOUR))["unit"] == "lx"


def test_values_that_cannot_be_added_up_have_no_average(client: APIClient, years: dict[int, Sensor]) -> None:
    store([(3, START, 1.5e308), (3, START + MINUTE, 1.5e308)])
    for _ in range(2):
        (point,) = ask(client, points=24, **span_of(DAY))["points"]
        assert (point["avg"], point["max"]) == (None, 1.5e308)
        refresh()


def test_a_span_without_data_is_no_error(client: APIClient, years: dict[int, Sensor]) -> None:
    said = ask(client, **{"from": "1970-01-01T00:00:00Z", "to": "2200-01-01T00:00:00Z"})
    assert (said["points"], said["coverage"]) == ([], 0)


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("sensors/99/series/", {}, 404),
        ("sensors/99999999999999999999/series/", {}, 404),
        ("series/", {}, 400),
        ("series/", {"sensor": [1, 99]}, 404),
        ("series/", {"sensor": ["x"]}, 400),
        ("series/", {"sensor": list(range(1, 22))}, 400),
        ("sensors/3/series/", {"sensor": 3}, 400),
        ("sensors/3/series/", {"points": 0}, 400),
        ("sensors/3/series/", {"points": 2001}, 400),
        ("sensors/3/series/", {"points": [1, 2]}, 400),
        ("sensors/3/series/", {"limit": 5}, 400),
        ("sensors/3/series/", {"tz": "Mars/Olympus"}, 400),
        ("sensors/3/series/", {"tz": "../../etc/passwd"}, 400),
        ("sensors/3/series/", {"tz": "Europe"}, 400),
        ("sensors/3/series/", {"tz": ""}, 400),
        ("sensors/3/series/", {"tz": "a\0b"}, 400),
        ("sensors/3/series/", {"from": "yesterday"}, 400),
        ("sensors/3/series/", {"from": "2026-01-02T00:00:00"}, 400),
        ("sensors/3/series/", {"from": "2026-01-02T00:00:00Z", "to": "2026-01-02T00:00:00Z"}, 400),
        ("sensors/3/series/", {"from": "2199-01-02T00:00:00Z"}, 400),
        ("sensors/3/series/", {"from": "0001-01-01T00:00:00Z"}, 400),
        ("sensors/3/series/", {"to": "9999-12-31T23:59:59Z"}, 400),
    ],
)
def test_it_handles_what_cannot_be_answered(
    client: APIClient, years: dict[int, Sensor], path: str, query: dict[str, Any], status: int
) -> None:
    response = client.get(API + path, query)
    assert (response.status_code, response["Content-Type"]) == (status, "application/json")


def test_one_statement_by_the_indexes(years: dict[int, Sensor]) -> None:
    store(every(MINUTE, 2 * DAY))
    refresh()
    store([(3, START + 47 * HOUR + MINUTE / 2, 1.0)])
    sensor = years[3]
    for points in (2000, 500, 40, 2):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            series.read(sensor, Span(START, START + 30 * HOUR), points)
        (statement,) = asked.captured_queries
        assert "Seq Scan on monitoring" not in plan(statement["sql"], without=("seqscan",))


def test_each_cut_hour_is_a_look_up(years: dict[int, Sensor]) -> None:
    """Joined with its few hours, all the minutes that the sensor ever had might be read."""
    for level in LEVELS:
        ensure_partitions(START, START, level.table)
    with CaptureQueriesContext(connection) as asked:
        series.read(years[3], Span(START + MINUTE, START + 728 * DAY + MINUTE), 500)
    (statement,) = asked.captured_queries
    # Then a join, if PostgreSQL is free to make one, shows.
    planned = plan(statement["sql"], without=("indexscan", "indexonlyscan", "bitmapscan"))
    assert "monitoring_rollup_minute" in planned
    assert "monitoring_rollup_hour" in planned
    assert not re.search(r"(Join Filter|Hash Cond|Merge Cond): .*start", planned), planned


ZONES = {
    "Europe/Paris": [datetime(2026, 3, 29, 1), datetime(2026, 10, 25, 1)],
    "America/New_York": [datetime(2026, 3, 8, 7), datetime(2026, 11, 1, 6)],
    # Half an hour off UTC, and with summer time.
    "Australia/Adelaide": [datetime(2026, 4, 4, 16, 30), datetime(2026, 10, 3, 16, 30)],
}


@st.composite
def _asked(draw: Any) -> tuple[str, datetime, list[tuple[int, float, bool]], Span, int]:
    zone = draw(st.sampled_from(sorted(ZONES)))
    change = draw(st.sampled_from(ZONES[zone])).replace(tzinfo=UTC)
    minutes = st.integers(-3 * 1440, 3 * 1440)
    rows = draw(st.lists(st.tuples(minutes, st.sampled_from([0.0, 0.5, 59.0]), st.booleans()), max_size=25))
    start = change + draw(minutes) * MINUTE - timedelta(seconds=draw(st.sampled_from([0, 20])))
    length = draw(st.sampled_from([10, 60, 599, 1440, 1500, 3000, 10000])) * MINUTE
    return zone, change, rows, Span(start, start + length), draw(st.sampled_from([1, 2, 5, 24, 100, 600]))


@hypothesis_settings(
    max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(
    ("Europe/Paris", START, [(9, 59.0, False)], Span(START, START + 9 * MINUTE + timedelta(seconds=40)), 24)
)
@given(asked=_asked())
def test_the_points_are_what_the_rows_say_on_the_days_of_the_zone(
    years: dict[int, Sensor], asked: tuple[str, datetime, list[tuple[int, float, bool]], Span, int]
) -> None:
    name, change, offsets, span, points = asked
    zone = ZoneInfo(name)
    rows = [
        ((3, change + minutes * MINUTE + timedelta(seconds=seconds), place / 4), taken)
        for place, (minutes, seconds, taken) in enumerate(offsets)
    ]
    with transaction.atomic():
        store([row for row, taken in rows if taken])
        refresh()
        store([row for row, taken in rows if not taken])
        said = series.read(years[3], span, points, zone)
        stored = list(Measurement.objects.values_list("created_at", "value"))
        transaction.set_rollback(True)
    assert len(said.points) <= points
    if said.resolution == "raw" or (said.resolution == "1m" and not said.points):
        # Of the span to the microsecond, and so none of the rest of its last minute.
        rows_within = [row for row in sorted(stored) if span.start <= row[0] < span.end]
        assert [(point.start, point.avg) for point in said.points] == rows_within
        return
    step = int(said.resolution[:-1]) * {"m": MINUTE, "h": HOUR, "d": DAY}[said.resolution[-1]]
    first = span.start.replace(second=0)
    end = span.end if span.end.second == 0 else span.end.replace(second=0) + MINUTE

    def bucket(at: datetime) -> tuple[int, int]:
        day = at.astimezone(zone).date()
        midnight = datetime.combine(day, time(), zone).astimezone(UTC)
        if step >= DAY:
            return (day - first.astimezone(zone).date()) // step, 0
        return day.toordinal(), (at - midnight) // step

    groups = defaultdict(list)
    for at, value in sorted(stored):
        if first <= at < end:
            groups[bucket(at)].append(value)
    assert {bucket(p.start): (p.count, p.avg, p.min, p.max, p.first, p.last) for p in said.points} == {
        key: (len(of), pytest.approx(sum(of) / len(of)), min(of), max(of), of[0], of[-1])
        for key, of in groups.items()
    }
    assert [point.start for point in said.points] == sorted(point.start for point in said.points)
