"""The SQL function iot_series says what the API's own series says, with days of UTC."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from monitoring.models import GoneSpan, HourRollup, MinuteRollup, Sensor
from monitoring.rollups import series
from monitoring.rollups.levels import LEVELS
from monitoring.rollups.refresh import refresh
from monitoring.span import Span
from monitoring.upkeep.partitions import ensure_partitions
from tests.examples import examples
from tests.rollups.rows import DAY, HOUR, MINUTE, store

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 1, tzinfo=UTC)
Found = list[tuple[datetime, int, float | None, float, float]]


@pytest.fixture
def years(sensors: dict[int, Sensor], settings: Any) -> dict[int, Sensor]:
    settings.RETENTION_DAYS = settings.ROLLUP_MINUTE_RETENTION_DAYS = 36_500
    ensure_partitions(*(datetime(year, 1, 1, tzinfo=UTC) for year in (2025, 2027)))
    return sensors


def by_sql(span: Span, points: int | None, sensor: int = 3) -> Found:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM iot_series(%s, %s, %s, %s)", [sensor, span.start, span.end, points])
        return [(at.astimezone(UTC), *rest) for at, *rest in cursor.fetchall()]


def by_api(span: Span, points: int, sensor: int = 3) -> tuple[str, Found]:
    read = series.read(Sensor.objects.get(pk=sensor), span, points)
    return read.resolution, [(one.start, one.count, one.avg, one.min, one.max) for one in read.points]


def same(span: Span, points: int) -> str:
    resolution, found = by_api(span, points)
    assert by_sql(span, points) == found
    return resolution


@pytest.fixture
def much(years: dict[int, Sensor]) -> None:
    """300 days, every 7 minutes, then every 5 hours, with a dense hour; some rows are untaken."""
    rows = [(3, START + place * 7 * MINUTE, float(place % 11) / 4) for place in range(2 * 1440 // 7)]
    rows += [(3, START + place * 5 * HOUR + MINUTE, float(place % 5)) for place in range(10, 300 * 24 // 5)]
    rows += [(3, START + 5 * HOUR + timedelta(seconds=20 * place + 1), 1.5) for place in range(180)]
    rows += [(1, START + place * HOUR, 999.0) for place in range(50)]
    store(rows)
    refresh()
    store([(3, START + 2 * DAY + place * 11 * MINUTE + MINUTE / 2, 50.0 + place) for place in range(10)])
    store([(3, START + 100 * DAY + MINUTE / 3, -7.25), (3, START + 26 * HOUR, 3.0)])


def test_each_resolution(much: None) -> None:
    found = set()
    for length in (HOUR, 3 * HOUR, DAY, 2 * DAY, 7 * DAY, 30 * DAY, 301 * DAY):
        for points in (1, 2, 24, 90, 300, 500, 2000):
            for begin in (START, START + 37 * HOUR + 13 * MINUTE + timedelta(seconds=7)):
                found.add(same(Span(begin, begin + length), points))
    found.add(same(Span(START + 5 * HOUR, START + 6 * HOUR), 100))
    assert {"raw", "1m", "5m", "10m", "30m", "1h", "2h", "6h", "12h", "1d", "4d"} <= found


@st.composite
def _asked(draw: Any) -> tuple[list[tuple[int, float, bool]], Span, int]:
    minutes = st.integers(-3 * 1440, 3 * 1440)
    rows = draw(st.lists(st.tuples(minutes, st.sampled_from([0.0, 0.5, 59.0]), st.booleans()), max_size=25))
    start = START + draw(minutes) * MINUTE - timedelta(seconds=draw(st.sampled_from([0, 20, 1e-6])))
    length = draw(st.sampled_from([1, 10, 60, 599, 1440, 1500, 3000, 10000])) * MINUTE
    return rows, Span(start, start + length), draw(st.sampled_from([1, 2, 5, 24, 100, 600]))


@hypothesis_settings(
    max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(asked=_asked())
@example(asked=([(0, 0.0, False), (1, 0.0, True), (1439, 59.0, False)], Span(START, START + DAY), 2))
def test_any_rows(years: dict[int, Sensor], asked: tuple[list[tuple[int, float, bool]], Span, int]) -> None:
    offsets, span, points = asked
    rows = [
        ((3, START + minutes * MINUTE + timedelta(seconds=seconds), place / 4), taken)
        for place, (minutes, seconds, taken) in enumerate(offsets)
    ]
    with transaction.atomic():
        store([row for row, taken in rows if taken])
        refresh()
        store([row for row, taken in rows if not taken])
        same(span, points)
        transaction.set_rollback(True)


def test_where_rows_have_gone_the_rollups_speak(much: None) -> None:
    GoneSpan.objects.widen(3, START, START + DAY)
    assert same(Span(START, START + HOUR), 500) == "1m"


def test_what_is_older_than_the_minutes_kept_comes_in_hours(
    much: None, years: dict[int, Sensor], settings: Any
) -> None:
    """The API goes by how long minutes are to be kept, the function by those that are left: the same, where
    retention has done its work."""
    days = [(START + 1 * DAY, START + 30 * DAY), (START + 90 * DAY, START + 91 * DAY)]
    MinuteRollup.objects.filter(start__lt=START + 60 * DAY).delete()
    age = datetime.now(UTC) - (START + 60 * DAY)
    settings.ROLLUP_MINUTE_RETENTION_DAYS = age // DAY
    # With the fewest points, so that it matters: a day has 24 hours.
    said = [same(Span(*span), 2000) for span in days]
    assert said == ["1h", "raw"]
    HourRollup.objects.filter(start__lt=START + 60 * DAY).delete()
    settings.ROLLUP_HOUR_RETENTION_DAYS = age // DAY
    assert same(Span(*days[0]), 2000) == "1d"


def test_it_handles_what_cannot_be_answered(much: None) -> None:
    assert by_sql(Span(START, START), 10) == []
    assert by_sql(Span(START + HOUR, START), 10) == []
    assert by_sql(Span(START, START + DAY), 10, sensor=99) == []
    assert by_sql(Span(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)), 500)
    (one,) = by_sql(Span(START, START + 301 * DAY), -5)
    assert one == by_api(Span(START, START + 301 * DAY), 1)[1][0]
    assert by_sql(Span(START, START + 2 * DAY), 1_000_000) == by_api(Span(START, START + 2 * DAY), 2000)[1]
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM iot_series(NULL, NULL, NULL, NULL)")
        assert cursor.fetchall() == []


def test_values_that_cannot_be_added_up_have_no_average(years: dict[int, Sensor]) -> None:
    store([(3, START, 1.5e308), (3, START + MINUTE, 1.5e308)])
    for _ in range(2):
        same(Span(START, START + DAY), 24)
        assert [one[2] for one in by_sql(Span(START, START + DAY), 24)] == [None]
        refresh()


def test_each_step_goes_by_an_index(years: dict[int, Sensor]) -> None:
    """However much there is: what the function reads grows with its points."""
    for level in LEVELS:
        ensure_partitions(START, START, level.table)
    store([(3, START + place * MINUTE, 1.0) for place in range(3000)])
    refresh()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("SET LOCAL enable_seqscan = off")  # the tables are small here
        before = scans(cursor)
        for points in (2000, 500, 40, 2):
            cursor.execute(
                "SELECT count(*) FROM iot_series(3, %s, %s, %s)", [START, START + 30 * HOUR, points]
            )
        after = scans(cursor)
    assert after["by index"] > before["by index"]
    assert after["of all rows"] == before["of all rows"]


def scans(cursor: Any) -> dict[str, int]:
    """Of the tables of measurements and rollups, in this transaction."""
    cursor.execute(
        "SELECT sum(seq_scan), sum(idx_scan) FROM pg_stat_xact_user_tables"
        " WHERE relname LIKE 'monitoring_measurement%' OR relname LIKE 'monitoring_rollup%'"
    )
    return dict(zip(("of all rows", "by index"), cursor.fetchone(), strict=True))
