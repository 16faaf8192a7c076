"""What a rule would have done: the same function over what is stored, before anybody saves the rule.

Of rules whose readings each say by themselves whether they are past the threshold, PostgreSQL sends those
alone at which that changes, or which lie further past it; of silences the gaps that are long enough. What
comes of them is the same, and of a year of minutes a few rows travel. A rate, or a stuck value, needs
each reading: they come as COPY has them, twenty-six bytes each.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext as _

from monitoring.alerts.anew import begin
from monitoring.alerts.coverage import as_rule, fits
from monitoring.alerts.rule import OF_VALUES, Kind, Rule, Sample, State, Verdict, fold, verdict_of
from monitoring.alerts.rule import Span as Held
from monitoring.alerts.samples import Outage, deadline, evaluate
from monitoring.models import AlertRule, Incident, Measurement, Sensor, SensorStatus, binary_copy
from monitoring.models.binary_copy import EPOCH_US
from monitoring.span import Span

# How many readings of a sensor are looked at, the newest: by PostgreSQL, and where each of them travels.
MOST_BY_DATABASE, MOST_HERE = 3_000_000, 1_000_000
# How long a statement of a rule may take, and a rule of many sensors in all.
MOST_S = 10.0
# Of a sensor so many spans are shown, the last; all of them are counted.
MOST_SPANS = 1000

_QUERY_CANCELED = "57014"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class NotOfReadingsError(ValueError):
    """This kind of rule looks at how things are now, of which no past is kept."""

    def __init__(self) -> None:
        super().__init__(_("Only a rule of readings can be tried out on the past."))


class TooLongError(Exception):
    """PostgreSQL was still looking at the readings after MOST_S."""

    def __init__(self) -> None:
        super().__init__(_("It takes too long to look at so many readings: choose fewer days."))


class Backtest(NamedTuple):
    """`spans`: when it would have fired, in the order of time; the last one may last still.

    `seconds`: how long this took. `readings_from`: from when on there are readings that count, later than
    the span's start where older ones have gone or are too many (`truncated`); None: there are none at all.
    `is_known`: False where the rule goes by the sensor's interval, and that is not known.
    """

    spans: list[Held]
    seconds: float
    truncated: bool
    readings_from: datetime | None = None
    is_known: bool = True


class Many(NamedTuple):
    """Of a rule that holds for `sensors` sensors: what it would have done for some of them, in the order of
    their ids. `truncated`: it was not looked at all of them, or not at all of one."""

    of: list[tuple[Sensor, Backtest]]
    sensors: int
    truncated: bool


def run(rule: AlertRule, sensor: Sensor, span: Span, now: datetime | None = None) -> Backtest:
    """When the rule, saved or not, would have fired for the sensor, had it been there from the span's start
    on. Raises NotOfReadingsError, TooLongError."""
    with _at_most(MOST_S):
        return _run(rule, sensor, span, now)


def _run(rule: AlertRule, sensor: Sensor, span: Span, now: datetime | None) -> Backtest:
    began = time.perf_counter()
    if not rule.is_of_readings:
        raise NotOfReadingsError
    pure = as_rule(rule, _interval_s(sensor))
    if pure is None:
        return Backtest([], time.perf_counter() - began, False, None, is_known=False)
    # What is yet to come has not failed to come.
    end = min(span.end, now or datetime.now(UTC))
    part = _Part.of(pure, sensor.pk, span.start, end)
    until, start = _us(end), max(begin(pure, _us(span.start), _us(span.start)), _us(part.start))
    spans = _spans(pure, part, start, until)
    spans = [one for one in spans if one.resolved_at is None or one.resolved_at >= _us(span.start)]
    return Backtest(spans, time.perf_counter() - began, part.is_cut, part.first_since(span.start))


def run_many(rule: AlertRule, span: Span, most: int = 20, now: datetime | None = None) -> Many:
    """The same for the first `most` sensors that it holds for, as far as MOST_S lasts.

    Raises NotOfReadingsError; TooLongError where it does not last for the first of them."""
    began = time.perf_counter()
    fitting = fits(rule)
    sensors = fitting.count()
    found: list[tuple[Sensor, Backtest]] = []
    for sensor in fitting.order_by("pk")[:most]:
        left = MOST_S - (time.perf_counter() - began)
        if left <= 0:
            break
        try:
            with _at_most(left):
                found.append((sensor, _run(rule, sensor, span, now)))
        except TooLongError:
            if not found:
                raise
            break
    truncated = len(found) < sensors or any(one.truncated for _sensor, one in found)
    return Many(found, sensors, truncated)


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Each statement within it. Raises TooLongError."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                # 0 would be no limit.
                cursor.execute("SET LOCAL statement_timeout = %s", [max(1, round(seconds * 1000))])
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None) == _QUERY_CANCELED:
            raise TooLongError from error
        raise


class _Part(NamedTuple):
    """The readings of a sensor in [start, end): what a rule is worked out from. `is_cut`: there are more."""

    sensor_id: int
    start: datetime
    end: datetime
    is_cut: bool

    @classmethod
    def of(cls, rule: Rule, sensor_id: int, active_from: datetime, end: datetime) -> "_Part":
        """What `evaluate` wants for a span that begins with `active_from`, as far as that may be read."""
        start = active_from - (rule.lookback_us + rule.window_us) * _MICROSECOND
        readings = Measurement.objects.filter(sensor_id=sensor_id).order_by("-created_at")
        within = readings.filter(created_at__gte=start, created_at__lt=end)
        most = MOST_BY_DATABASE if rule.kind in _BY_DATABASE else MOST_HERE
        # A look through the index alone.
        edge = within.values_list("created_at", flat=True)[most : most + 1].first()
        if edge is not None:
            return cls(sensor_id, edge, end, True)
        if rule.kind not in OF_VALUES:
            before = readings.filter(created_at__lt=min(start, end)).first()
            start = start if before is None else before.created_at
        return cls(sensor_id, start, end, False)

    def first_since(self, moment: datetime) -> datetime | None:
        within = Measurement.objects.filter(
            sensor_id=self.sensor_id, created_at__gte=max(moment, self.start), created_at__lt=self.end
        )
        return within.order_by("created_at").values_list("created_at", flat=True).first()

    def fetch(self, query: str, columns: str, **parameters: object) -> Iterator[tuple[Any, ...]]:
        return binary_copy.fetch(query, self._asdict() | parameters, columns)


_BY_DATABASE = OF_VALUES | {Kind.SILENCE}


def _spans(rule: Rule, part: _Part, start: int, until: int) -> list[Held]:
    if rule.kind in OF_VALUES:
        return fold(rule, State(), _changes(rule, part), until)[0]
    if rule.kind == Kind.SILENCE:
        return fold(rule, State(), _gaps(rule, part, until), until)[0]
    readings = ((at + EPOCH_US, value) for at, value in part.fetch(_READINGS, "qd"))
    return evaluate(rule, State(), readings, until, start).spans


def _changes(rule: Rule, part: _Part) -> Iterator[Sample]:
    """Those samples alone that change anything: with another verdict than the one before, or further past a
    threshold than it."""
    rows = part.fetch(
        _CHANGES,
        "qd",
        high=_number(rule.high, math.inf),
        low=_number(rule.low, -math.inf),
        clear_high=_number(rule.high if rule.clear_high is None else rule.clear_high, math.inf),
        clear_low=_number(rule.low if rule.clear_low is None else rule.clear_low, -math.inf),
    )
    return (Sample(at + EPOCH_US, verdict_of(rule, value), value) for at, value in rows)


def _number(threshold: float | None, no_value_is_past: float) -> float:
    return no_value_is_past if threshold is None else threshold


def _gaps(rule: Rule, part: _Part, until: int) -> Iterator[Sample]:
    """As samples.evaluate has them, of the readings before and after each gap that is longer than the limit
    and after the last one: any other clears what is clear."""
    outages = _outages(part)
    limit = rule.limit_us * _MICROSECOND
    for before, at, value in part.fetch(_GAPS, "qqd", limit=limit):
        end = deadline(before + EPOCH_US, rule.limit_us, outages)
        if end < at + EPOCH_US:
            yield Sample(end, Verdict.PAST, None)
            yield Sample(at + EPOCH_US, Verdict.CLEAR, value)
    last = Measurement.objects.filter(
        sensor_id=part.sensor_id, created_at__gte=part.start, created_at__lt=part.end
    )
    moment = last.order_by("-created_at").values_list("created_at", flat=True).first()
    if moment is not None:
        end = deadline(_us(moment), rule.limit_us, outages)
        if end <= until:
            yield Sample(end, Verdict.PAST, None)


def _outages(part: _Part) -> list[Outage]:
    """When we ourselves took nothing, as it is kept."""
    kept = Incident.objects.outages(part.start, part.end)
    return [Outage(_us(start), _us(end)) for start, end in kept]


def _interval_s(sensor: Sensor) -> float | None:
    if sensor.expected_interval_s is not None:
        return float(sensor.expected_interval_s)
    return SensorStatus.objects.filter(pk=sensor.pk).values_list("interval_s", flat=True).first()


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


_OF_PART = (
    "FROM monitoring_measurement"
    " WHERE sensor_id = %(sensor_id)s AND created_at >= %(start)s AND created_at < %(end)s"
)

_READINGS = f"SELECT created_at, value {_OF_PART} ORDER BY created_at"

_CHANGES = f"""
SELECT created_at, value FROM (
    SELECT *, lag(verdict) OVER by_time AS verdict_before, lag(value) OVER by_time AS before FROM (
        SELECT created_at, value, CASE
            WHEN value > %(high)s::float8 OR value < %(low)s::float8 THEN 2
            WHEN value > %(clear_high)s::float8 OR value < %(clear_low)s::float8 THEN 1
            ELSE 0 END AS verdict
        {_OF_PART}
    ) AS reading WINDOW by_time AS (ORDER BY created_at)
) AS reading
WHERE verdict_before IS DISTINCT FROM verdict
   OR value > %(high)s::float8 AND value > before OR value < %(low)s::float8 AND value < before
ORDER BY created_at
"""

_GAPS = f"""
SELECT before, created_at, value FROM (
    SELECT created_at, value, lag(created_at) OVER (ORDER BY created_at) AS before {_OF_PART}
) AS reading
WHERE created_at - before > %(limit)s ORDER BY created_at
"""
