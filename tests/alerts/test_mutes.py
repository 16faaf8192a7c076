"""A weekly silence holds by the wall clock of its zone, on the days of the year when that is changed too."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.alerts.mutes import Hours, moment

# A local day and the zone: forward and back by an hour, by half an hour, at midnight, and none.
CHANGES = [
    ("Europe/Paris", date(2026, 3, 29)),
    ("Europe/Paris", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("America/Sao_Paulo", date(2019, 2, 17)),
    ("Asia/Kathmandu", date(2026, 6, 1)),
]
MINUTE = timedelta(minutes=1)
TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))


def shown(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


def by_the_definition(hours: Hours, around: date) -> list[tuple[datetime, bool]]:
    """Minute by minute: from the first at which the clock shows the begin or later, to the last at which it
    shows less than the end. Reads what the clock shows, and no more."""
    start = datetime(around.year, around.month, around.day, tzinfo=UTC) - timedelta(days=2)
    minutes = [start + place * MINUTE for place in range(4 * 24 * 60)]
    walls = [shown(at, hours.zone) for at in minutes]
    latest, furthest = [], walls[0]
    for wall in walls:
        furthest = max(furthest, wall)
        latest.append(furthest)
    earliest, least = [], walls[-1]
    for wall in reversed(walls):
        least = min(least, wall)
        earliest.append(least)
    earliest.reverse()
    days = [around + timedelta(days=place) for place in range(-4, 5)]
    spans = []
    for day in days:
        if hours.weekdays and day.weekday() not in hours.weekdays:
            continue
        end_day = day if hours.begin < hours.end else day + timedelta(days=1)
        spans.append((datetime.combine(day, hours.begin), datetime.combine(end_day, hours.end)))
    inside = slice(24 * 60, -24 * 60)
    return [
        (at, any(begin <= most and fewest < end for begin, end in spans))
        for at, most, fewest in zip(minutes[inside], latest[inside], earliest[inside], strict=True)
    ]


@given(
    st.sampled_from(CHANGES), TIMES, TIMES, st.frozensets(st.integers(0, 6), max_size=3), st.integers(0, 2879)
)
def test_it_holds_as_the_clock_of_its_zone_shows(
    change: tuple[str, date], begin: time, end: time, weekdays: frozenset[int], first: int
) -> None:
    name, day = change
    hours = Hours(weekdays, begin, end, ZoneInfo(name))
    expected = by_the_definition(hours, day)
    # A minute in 37, each time others: all of them in some examples.
    for at, holds in expected[first % 37 :: 37]:
        assert hours.hold(at) is holds, at


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("begin", "end"), [((1, 30), (2, 30)), ((23, 0), (1, 0)), ((0, 0), (0, 0))])
def test_it_holds_in_each_minute_around_a_change(
    change: tuple[str, date], begin: tuple[int, int], end: tuple[int, int]
) -> None:
    hours = Hours(frozenset(), time(*begin), time(*end), ZoneInfo(change[0]))
    expected = by_the_definition(hours, change[1])
    assert [(at, hours.hold(at)) for at, _ in expected] == expected


PARIS = ZoneInfo("Europe/Paris")


def test_an_hour_that_comes_twice_holds_without_a_break() -> None:
    hours = Hours(frozenset(), time(1, 30), time(2, 30), PARIS)
    start = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    assert not hours.hold(start - timedelta(seconds=1))
    assert all(hours.hold(start + place * MINUTE) for place in range(120))
    assert not hours.hold(start + timedelta(hours=2))


def test_an_hour_that_is_left_out_is_not_made_up_for() -> None:
    hours = Hours(frozenset(), time(2, 10), time(2, 50), PARIS)
    start = datetime(2026, 3, 29, tzinfo=UTC)
    assert not any(hours.hold(start + place * MINUTE) for place in range(180))


def test_a_begin_that_is_left_out_is_when_the_clock_is_put_forward() -> None:
    assert moment(datetime(2026, 3, 29, 2, 30), PARIS, later=False) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert moment(datetime(2026, 3, 29, 2, 30), PARIS, later=True) == datetime(2026, 3, 29, 1, tzinfo=UTC)
