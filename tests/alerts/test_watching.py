"""In a worker, what was stored is held against the rules within a second, where a rule is concerned."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from celery.signals import worker_process_init
from django.db import connection
from django.test.utils import CaptureQueriesContext

from batches.batch import Batch, time_ordered_id
from batches.store import BatchStore
from config.celery import app  # noqa: F401 -- connects its signals
from monitoring.alerts.changing import us
from monitoring.alerts.watching import Watching
from monitoring.ingest import after_commit, ingest
from monitoring.ingest.after_commit import Committed, newest_of
from monitoring.models import AlertState, Incident, Sensor
from tests.alerts.conftest import Rules, Store, spans
from tests.ingest.conftest import hand_over  # noqa: F401 -- a fixture
from tests.journey.system import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
HandOver = Callable[..., Batch]


def payload(sensor_id: int, value: float, at: datetime) -> bytes:
    return json.dumps({"sensor_id": sensor_id, "value": value, "ts": at.timestamp()}).encode()


@pytest.fixture
def watching() -> Iterator[Watching]:
    watching = Watching(0.01)
    end = watching.start()
    yield watching
    end()


@pytest.fixture
def news(stored: Store, began: datetime) -> Callable[..., int]:
    """Stores (second, value) of a sensor, tells a `Watching` of it, and has it look; how many pairs that made
    it evaluate."""
    watching = Watching(0.0)
    watching._follower._thread = threading.current_thread()  # none of its own: the test looks

    def news(rows: list[tuple[float, float]], sensor_id: int = 1) -> int:
        stored(rows, sensor_id)
        made = newest_of((sensor_id, us(began + timedelta(seconds=at)), value, "") for at, value in rows)
        watching.note(Committed(time_ordered_id(), made, {}))
        return watching.look().pairs

    return news


def test_it_works(
    rules: Rules,
    store: BatchStore,
    hand_over: HandOver,  # noqa: F811
    watching: Watching,
    began: datetime,
) -> None:
    rules(sensor_id=1, high=25.0)
    ingest(store, hand_over(payload(1, 26.0, began + timedelta(seconds=1))).id)
    wait_for(lambda: Incident.objects.filter(state="firing").exists(), "an incident")
    ingest(store, hand_over(payload(1, 24.0, began + timedelta(seconds=2))).id)
    wait_for(lambda: Incident.objects.filter(state="resolved").exists(), "its end")
    assert spans(began) == [("sensor:1", 1, 2)]


def test_what_concerns_no_rule_is_not_evaluated(rules: Rules, news: Callable[..., int]) -> None:
    rules(sensor_id=1, high=25.0)
    rules(kind="below", low=15.0, sensor_kind="temperature")
    rules(kind="silence", limit_s=10)
    rules(kind="above", high=1.0, sensor_id=1, enabled=False)
    assert news([(1, 20.0), (2, 25.0), (3, 15.0)]) == 0
    assert news([(1, 99.0)], 2) == 0
    assert not AlertState.objects.exists()
    assert news([(4, 26.0)]) == 1
    assert news([(5, 14.0)]) == 2


def test_each_reading_concerns_a_rate(rules: Rules, news: Callable[..., int], began: datetime) -> None:
    rules(kind="rate", high=5.0, window_s=60)
    assert news([(1, 20.0)]) == 1
    assert news([(62, 30.0)]) == 0, "not until it has its share of the time again"


def test_what_goes_on_waits_for_the_job(
    rules: Rules, news: Callable[..., int], stored: Store, began: datetime
) -> None:
    rules(for_s=10)
    assert news([(1, 26.0)]) == 1
    assert news([(2, 26.0), (9, 27.0)]) == 0
    assert news([(11, 26.0)]) == 1
    assert spans(began) == [("sensor:1", 1, None)]
    assert news([(12, 29.0)]) == 0
    assert news([(13, 29.0), (14, 25.0)]) == 1
    assert spans(began) == [("sensor:1", 1, 14)]


def test_a_silence_that_fires_is_over_at_once(
    rules: Rules, news: Callable[..., int], stored: Store, began: datetime
) -> None:
    from tests.alerts.test_due import run

    rules(kind="silence", limit_s=10)
    stored([(1, 20.0)])
    run(began, 20)
    assert news([(21, 20.0)]) == 1
    assert spans(began) == [("sensor:1", 11, 21)]


def test_a_rule_that_is_new_is_seen(rules: Rules, news: Callable[..., int]) -> None:
    assert news([(1, 26.0)]) == 0
    rule = rules()
    assert news([(2, 26.0)]) == 1
    rule.enabled = False
    rule.renew()
    rule.save()
    assert news([(3, 24.0)]) == 0


def test_without_a_rule_it_asks_once_a_second_whether_there_is_one(sensors: dict[int, Sensor]) -> None:
    watching = Watching()
    assert watching.is_wanted()
    with CaptureQueriesContext(connection) as queries:
        watching.look()
    assert len(queries) == 2
    assert not watching.is_wanted()
    watching._looked_at -= 1.1
    assert watching.is_wanted()


def test_what_fails_is_left_to_the_job(
    rules: Rules, news: Callable[..., int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rules()
    monkeypatch.setattr("monitoring.alerts.watching.evaluate", lambda *args: 1 / 0)
    assert news([(1, 26.0)]) == 0
    assert "left to the job" in caplog.text


def test_each_child_of_a_workers_pool_watches(nobody_listens_on: None) -> None:
    before = len(after_commit._subscribers)
    worker_process_init.send(sender=None)
    added = after_commit._subscribers[before:]
    assert "Watching" in {type(subscriber.__self__).__name__ for subscriber, _ in added}  # type: ignore[attr-defined]
