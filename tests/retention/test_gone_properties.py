"""Whatever comes in whatever order, a bucket counts every row that came before its rows went."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from monitoring.models import GoneSpan, Measurement, Sensor
from monitoring.rollups.refresh import Refreshed, refresh
from monitoring.upkeep import expiring, pieces
from monitoring.upkeep.expiring import delete_expired
from monitoring.upkeep.pieces import TimeShare
from tests.examples import examples
from tests.rollups.rows import DAY, MINUTE, Row, buckets, expected, store

pytestmark = pytest.mark.django_db

# How long ago: within some minutes of where the edge lies after so many days.
_ages = st.builds(
    lambda days, minutes, seconds: days * DAY - minutes * MINUTE - timedelta(seconds=seconds),
    st.sampled_from([5, 10, 20]),
    st.integers(-3, 3),
    st.integers(0, 59),
)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("store"), st.lists(_ages, min_size=1, max_size=5)),
        st.tuples(st.just("keep"), st.sampled_from([5, 10, 20, None])),
        st.tuples(st.just("delete"), st.none()),
        st.tuples(st.just("refresh"), st.none()),
    ),
    min_size=3,
    max_size=14,
)


@hypothesis_settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=_steps)
def test_every_row_is_counted_that_came_in_time(
    sensors: dict[int, Sensor],
    monkeypatch: pytest.MonkeyPatch,
    now: datetime,
    steps: list[tuple[str, Any]],
) -> None:
    for module in (pieces, expiring):
        monkeypatch.setattr(module, "PIECE", 2)
    now = now.replace(second=30, microsecond=0)
    counted: set[Row] = set()
    there: set[datetime] = set()
    kept: int | None = None
    first, until = None, None  # of what has gone
    with transaction.atomic():
        for name, what in steps:
            if name == "store":
                rows = [(3, now - age, 1.0) for age in what]
                store(rows)
                for row in rows:
                    minute = row[1].replace(second=0)
                    frozen = first and until and minute < until and minute + MINUTE > first
                    if row[1] not in there and not frozen:
                        counted.add(row)
                    there.add(row[1])
            elif name == "keep":
                Sensor.objects.filter(pk=3).update(retention_days=what)
                kept = what
            elif name == "refresh":
                refresh()
            else:
                delete_expired(TimeShare(), now)
                edge = now - kept * DAY if kept else None
                if edge and (gone := {moment for moment in there if moment < edge}):
                    there -= gone
                    first = min(gone) if first is None else min(first, *gone)
                    until = edge if until is None else max(until, edge)
        while refresh() != Refreshed():
            pass
        span = GoneSpan.objects.filter(pk=3).first()
        assert (span and span.start, span and span.until) == (first, until)
        assert set(Measurement.objects.values_list("created_at", flat=True)) == there
        assert buckets() == expected(counted)
        transaction.set_rollback(True)
