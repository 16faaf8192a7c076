"""Whoever was not well, and sends again, is looked at once it is stored."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from celery.signals import worker_process_init
from django.db import connection

from batches.batch import Batch, time_ordered_id
from batches.store import BatchStore
from config.celery import app
from monitoring.ingest import after_commit, ingest
from monitoring.models import Sensor, SensorStatus
from monitoring.status.looking import look_at_due
from monitoring.status.reach import Reach
from monitoring.status.returning import Returning
from monitoring.status.rule import RECHECK
from monitoring.upkeep.pieces import TimeShare
from tests.ingest.conftest import hand_over  # noqa: F401 -- a fixture
from tests.journey.system import PROJECT, wait_for
from tests.status.conftest import Readings

pytestmark = pytest.mark.django_db(transaction=True)
HandOver = Callable[..., Batch]


@pytest.fixture
def returning() -> Iterator[Returning]:
    returning = Returning(0.01)
    end = returning.start()
    yield returning
    end()


def payload(sensor_id: int, ts: datetime | None = None) -> bytes:
    more = {} if ts is None else {"ts": ts.timestamp()}
    return json.dumps({"sensor_id": sensor_id, "value": 1.5} | more).encode()


def status(sensor_id: int) -> str:
    return SensorStatus.objects.get(pk=sensor_id).status


def test_it_works(
    sensors: dict[int, Sensor],
    readings: Readings,
    store: BatchStore,
    hand_over: HandOver,  # noqa: F811
    returning: Returning,
    now: datetime,
) -> None:
    readings(1, [now - timedelta(hours=1, minutes=minute) for minute in range(20)])
    look_at_due(TimeShare(), Reach(now), now)
    assert (status(1), status(2)) == ("silent", "never")
    ingest(store, hand_over(payload(1), payload(2)).id)
    wait_for(lambda: (status(1), status(2)) == ("ok", "ok"), "sensors that are back")


def test_nothing_is_asked_of_the_database_where_nothing_is_stored(
    sensors: dict[int, Sensor],
    store: BatchStore,
    hand_over: HandOver,  # noqa: F811
    returning: Returning,
) -> None:
    ingest(store, hand_over(b"garbage").id)
    after_commit._waiting.join()
    assert returning._follower._thread is None


def test_what_came_meanwhile_is_asked_for_together(
    sensors: dict[int, Sensor], readings: Readings, now: datetime
) -> None:
    returning = Returning()
    readings(1, [now])
    readings(3, [now])
    returning._follower._thread = threading.current_thread()  # none of its own: the test looks
    for number in (1, 1, 3):
        stored = {number: after_commit.one(0, 1.0, "")}
        returning.note(after_commit.Committed(time_ordered_id(), stored, {}))
    assert returning.look() == 2
    assert returning.look() == 0


def test_one_that_comes_back_unheard_is_found_by_the_job(
    sensors: dict[int, Sensor], readings: Readings, now: datetime
) -> None:
    """Its worker was killed between the commit and the look."""
    look_at_due(TimeShare(), Reach(now), now)
    readings(1, [now])
    later = now + RECHECK
    look_at_due(TimeShare(), Reach(later), later)
    assert status(1) == "ok"


def test_a_database_that_is_away_is_only_logged(
    sensors: dict[int, Sensor], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    returning = Returning()
    returning._ids = {1}
    with monkeypatch.context() as patched:
        patched.setitem(connection.settings_dict, "PORT", "1")
        connection.close()
        assert returning.look() == 0
    assert "by the job instead" in caplog.text


def test_it_starts_in_a_child_of_the_pool_and_nowhere_else() -> None:
    here = "import config.celery, django; django.setup(); from monitoring.ingest import after_commit as a"
    asked = subprocess.run(
        [sys.executable, "-c", f"{here}; print(a.is_wanted())"], cwd=PROJECT, capture_output=True, check=True
    )
    assert asked.stdout.strip() == b"False", "neither Django nor Celery starts it"
    receivers = {receiver.__name__ for receiver in worker_process_init._live_receivers(sender=app)}
    assert "begin_to_listen" in receivers
