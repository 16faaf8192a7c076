"""A backtest says what the pure function says of the rows, whoever looks at them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.alerts import backtest
from monitoring.alerts.coverage import as_rule
from monitoring.alerts.rule import SECOND, Kind
from monitoring.alerts.rule import Span as Held
from monitoring.alerts.samples import Outage, Reading
from monitoring.models import AlertRule, Board, Incident, Measurement, Sensor, SensorStatus
from monitoring.span import Span
from tests.alerts.arrivals import at_once
from tests.examples import examples
from tests.rollups.rows import store

pytestmark = pytest.mark.django_db
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def start(sensors: dict[int, Sensor], noon: datetime) -> datetime:
    """From here on times count in seconds."""
    return noon


def put(start: datetime, readings: Iterable[tuple[float, float]], sensor: int = 3) -> None:
    store((sensor, start + timedelta(seconds=at), value) for at, value in readings)


def us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def seconds(start: datetime, spans: list[Held]) -> list[tuple[float, float | None]]:
    return [
        (
            (one.since - us(start)) / SECOND,
            None if one.resolved_at is None else (one.resolved_at - us(start)) / SECOND,
        )
        for one in spans
    ]


def run(rule: AlertRule, start: datetime, length: timedelta = HOUR, sensor: int = 3) -> backtest.Backtest:
    return backtest.run(rule, Sensor.objects.get(pk=sensor), Span(start, start + length))


def test_an_unsaved_rule(start: datetime) -> None:
    put(start, [(0, 20), (60, 26), (120, 31), (180, 28), (240, 20)])
    found = run(AlertRule(kind="above", high=25.0, for_s=60), start)
    at = us(start)
    assert found.spans == [
        Held(at + 60 * SECOND, at + 120 * SECOND, at + 240 * SECOND, 26, 31, 20, at + 120 * SECOND)
    ]
    assert (found.truncated, found.readings_from, found.is_known) == (False, start, True)
    assert found.seconds > 0
    assert not AlertRule.objects.exists()


def test_what_lasts_at_the_end_of_the_span_lasts(start: datetime) -> None:
    put(start, [(0, 26), (7200, 20)])
    assert seconds(start, run(AlertRule(kind="above", high=25.0), start).spans) == [(0, None)]


def test_what_was_over_before_the_span_is_not_asked_for(start: datetime) -> None:
    put(start, [(-100, 26), (-50, 20), (-20, 26), (10, 20)])
    rule = AlertRule(kind="above", high=25.0, keep_s=40)
    # The rule begins with the span: that of which it knows is as old as what it looks back to.
    assert seconds(start, run(rule, start).spans) == [(-20, 50)]


def test_what_is_yet_to_come_has_not_failed_to_come(start: datetime, now: datetime) -> None:
    put(now, [(-700, 1.0), (-200, 1.0)])
    found = backtest.run(
        AlertRule(kind="silence", limit_s=300), Sensor.objects.get(pk=3), Span(now - HOUR, now + HOUR), now
    )
    assert seconds(now, found.spans) == [(-400, -200)]


def test_a_sensor_that_was_silent_before_the_span_is_found(start: datetime) -> None:
    put(start, [(-7200, 1.0), (-7100, 1.0)])
    rule = AlertRule(kind="silence", limit_s=300)
    assert seconds(start, run(rule, start).spans) == [(-6800, None)]


def test_a_silence_goes_by_the_interval_that_is_set_or_learned(start: datetime) -> None:
    put(start, [(0, 1.0), (60, 1.0), (300, 1.0), (360, 1.0)])
    rule = AlertRule(kind="silence", intervals=3)
    assert run(rule, start) == backtest.Backtest([], pytest.approx(0, abs=60), False, None, False)
    SensorStatus.objects.filter(pk=3).update(interval_s=60.0)
    assert seconds(start, run(rule, start).spans) == [(240, 300), (540, None)]
    Sensor.objects.filter(pk=3).update(expected_interval_s=200)
    assert seconds(start, run(rule, start).spans) == [(960, None)]


def test_no_silence_while_we_were_behind(start: datetime) -> None:
    put(start, [(0, 1.0), (2000, 1.0), (2900, 1.0)])
    rule = AlertRule(kind="silence", limit_s=600)
    assert seconds(start, run(rule, start).spans) == [(600, 2000), (2600, 2900), (3500, None)]
    for since, end in ((100, 1000), (900, 1500)):
        Incident.objects.create(
            subject="pipeline:behind",
            title="behind",
            kind="silence",
            severity="critical",
            state=Incident.State.RESOLVED,
            since=start + timedelta(seconds=since),
            fired_at=start + timedelta(seconds=since),
            resolved_at=start + timedelta(seconds=end),
            peak_at=start + timedelta(seconds=since),
            seen_at=start,
        )
    assert seconds(start, run(rule, start).spans) == [(2600, 2900), (3500, None)]


@pytest.mark.parametrize("kind", [Kind.REJECTED, Kind.BOARD, Kind.PIPELINE])
def test_how_things_are_now_has_no_past(start: datetime, kind: Kind) -> None:
    with pytest.raises(backtest.NotOfReadingsError, match="Only a rule of readings"):
        run(AlertRule(kind=kind.value), start)
    with pytest.raises(backtest.NotOfReadingsError):
        backtest.run_many(AlertRule(kind=kind.value), Span(start, start + HOUR))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (AlertRule(kind="above", high=25.0), [(240, 300), (360, None)]),
        # Of a gap nobody knows of what was before the first reading looked at.
        (AlertRule(kind="silence", limit_s=59), [(299, 300), (359, 360), (419, None)]),
        (AlertRule(kind="rate", high=4.0, window_s=60), [(360, None)]),
    ],
)
def test_no_more_is_read_than_may_be(
    start: datetime, monkeypatch: pytest.MonkeyPatch, rule: AlertRule, expected: list[object]
) -> None:
    """The newest; and it says so."""
    put(start, [(60 * place, 20.0 + 10 * (place % 2 == 0)) for place in range(5)])
    put(start, [(300, 20.0), (360, 30.0)])
    monkeypatch.setattr(backtest, "MOST_BY_DATABASE", 2)
    monkeypatch.setattr(backtest, "MOST_HERE", 2)
    found = run(rule, start)
    assert (seconds(start, found.spans), found.truncated) == (expected, True)
    assert found.readings_from == start + timedelta(seconds=240)
    monkeypatch.setattr(backtest, "MOST_BY_DATABASE", 7)
    monkeypatch.setattr(backtest, "MOST_HERE", 7)
    assert not run(rule, start).truncated


def test_it_says_from_when_on_there_are_readings(start: datetime) -> None:
    rule = AlertRule(kind="above", high=25.0)
    assert run(rule, start).readings_from is None
    put(start, [(-50, 20), (1200, 20), (1300, 20)])
    assert run(rule, start).readings_from == start + timedelta(seconds=1200)


def test_a_rule_of_many_sensors(start: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    for sensor in (1, 2, 3):
        put(start, [(0, 20.0 + 3 * sensor), (60, 20.0)], sensor)
    Sensor.objects.filter(pk__in=(1, 2)).update(location="Hall")
    board = Board.objects.create(name="kitchen", online=True, since=start)
    SensorStatus.objects.filter(pk=2).update(board=board)
    span = Span(start, start + HOUR)

    def found(**fields: object) -> dict[int, int]:
        many = backtest.run_many(AlertRule(kind="above", high=25.0, **fields), span)
        assert (many.sensors, many.truncated) == (len(many.of), False)
        return {sensor.pk: len(one.spans) for sensor, one in many.of}

    assert found() == {1: 0, 2: 1, 3: 1}
    assert found(location="Hall") == {1: 0, 2: 1}
    assert found(location="Hall", sensor_kind="humidity") == {2: 1}
    assert found(board=board) == {2: 1}
    assert found(sensor_id=3) == {3: 1}
    some = backtest.run_many(AlertRule(kind="above", high=25.0), span, most=2)
    assert ([sensor.pk for sensor, _one in some.of], some.sensors, some.truncated) == ([1, 2], 3, True)
    monkeypatch.setattr(backtest, "MOST_S", -1)
    assert backtest.run_many(AlertRule(kind="above", high=25.0), span) == ([], 3, True)


def test_a_statement_is_given_up_after_a_while(start: datetime, too_long: None) -> None:
    """By PostgreSQL; the connection is good for others."""
    put(start, [(0, 26), (60, 20)])
    rule, span = AlertRule(kind="above", high=25.0), Span(start, start + HOUR)
    with pytest.raises(backtest.TooLongError):
        run(rule, start)
    with pytest.raises(backtest.TooLongError):
        backtest.run_many(rule, span)
    assert Measurement.objects.count() == 2


# --- the same as the pure function ---------------------------------------------------------------

_short = st.sampled_from([0, 1, 2, 3, 5, 8, 13])
_rules = st.one_of(
    st.builds(AlertRule, kind=st.just("above"), high=st.just(4.0), clear_high=st.sampled_from([None, 2.0])),
    st.builds(AlertRule, kind=st.just("below"), low=st.just(0.1), clear_low=st.sampled_from([None, 2.0])),
    st.builds(
        AlertRule, kind=st.just("outside"), high=st.just(4.0), low=st.just(1.0),
        clear_high=st.sampled_from([None, 3.0]), clear_low=st.sampled_from([None, 2.0]),
    ),
    st.builds(AlertRule, kind=st.just("rate"), high=st.just(60.0), window_s=st.sampled_from([1, 3, 8])),
    st.builds(AlertRule, kind=st.just("stuck"), high=st.just(1.0), window_s=st.sampled_from([1, 3, 8])),
    st.builds(AlertRule, kind=st.just("silence"), limit_s=st.integers(1, 8)),
)  # fmt: skip
_readings = st.dictionaries(
    st.integers(-30, 60), st.sampled_from([-1e308, *range(-1, 7), 1e308]), max_size=40
)
_outages = st.lists(st.tuples(st.integers(-30, 60), st.integers(1, 20)), max_size=3)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_rules, _short, _short, _readings, _outages)
def test_it_says_what_the_pure_function_says(
    start: datetime,
    rule: AlertRule,
    for_s: int,
    keep_s: int,
    readings: dict[int, float],
    away: list[tuple[int, int]],
) -> None:
    rule.for_s, rule.keep_s = for_s, keep_s
    with transaction.atomic():
        put(start, readings.items())
        outages = _keep(start, away)
        found = run(rule, start, timedelta(seconds=50))
        transaction.set_rollback(True)
    pure = as_rule(rule, None)
    assert pure is not None
    rows = [Reading(us(start) + at * SECOND, float(value)) for at, value in readings.items() if at < 50]
    assert found.spans == at_once(pure, rows, us(start), us(start) + 50 * SECOND, outages)


def _keep(start: datetime, away: list[tuple[int, int]]) -> list[Outage]:
    """Stores what is kept of them; returns them as one that knows nothing of rows would have them."""
    covered: set[int] = set()
    for since, length in away:
        moment = start + timedelta(seconds=since)
        Incident.objects.create(
            subject="pipeline:behind", title="behind", kind="silence", severity="critical",
            state=Incident.State.RESOLVED, since=moment, fired_at=moment, seen_at=moment,
            resolved_at=moment + timedelta(seconds=length), peak_at=moment,
        )  # fmt: skip
        covered |= set(range(since, since + length))
    at = us(start)
    begins = [second for second in sorted(covered) if second - 1 not in covered]
    ends = [second + 1 for second in sorted(covered) if second + 1 not in covered]
    return [Outage(at + one * SECOND, at + other * SECOND) for one, other in zip(begins, ends, strict=True)]


def test_the_database_sends_few_rows(start: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a thousand readings those at which something changes."""
    put(start, [(place, 20.0 + 10 * (place in (500, 501))) for place in range(1000)])
    sent: list[int] = []
    fetch = backtest.binary_copy.fetch

    def counted(query: str, parameters: dict[str, object], columns: str) -> list[tuple[object, ...]]:
        rows = list(fetch(query, parameters, columns))
        sent.append(len(rows))
        return rows

    monkeypatch.setattr(backtest.binary_copy, "fetch", counted)
    assert seconds(start, run(AlertRule(kind="above", high=25.0), start).spans) == [(500, 502)]
    assert run(AlertRule(kind="silence", limit_s=60), start).spans[0].resolved_at is None
    assert sent == [3, 0]
    assert Measurement.objects.count() == 1000
