"""The books say the same before, while and after the ledger is folded."""

import threading
import time
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from monitoring.models import IngestBatch, IngestTotal, RetentionRun
from monitoring.upkeep import folding, pieces
from monitoring.upkeep.folding import fold
from monitoring.upkeep.pieces import TimeShare
from tests.plans import plan


def enter(count: int, ingested_at: datetime, source: str = "mqtt:main", taken: bool = True) -> None:
    pairs = {} if taken else {"touched_sensors": [1], "touched_minutes": [1]}
    entries = [
        IngestBatch(
            id=uuid4(),
            source=source,
            messages=3,
            readings=4,
            stored=2,
            duplicates=1,
            rejected=1,
            first_received_at=ingested_at,
            last_received_at=ingested_at,
            **pairs,
        )
        for _ in range(count)
    ]
    IngestBatch.objects.bulk_create(entries)
    # auto_now_add
    IngestBatch.objects.filter(pk__in=[entry.pk for entry in entries]).update(ingested_at=ingested_at)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (folding, pieces):
        monkeypatch.setattr(module, "PIECE", 10)


@pytest.mark.django_db
def test_it_works(now: datetime) -> None:
    minute = (now - timedelta(days=8)).replace(second=0, microsecond=0)
    enter(25, minute + timedelta(seconds=59))
    enter(3, minute, "http")
    enter(4, minute, taken=False)
    enter(5, now - timedelta(hours=1))
    enter(6, now)
    before = IngestBatch.objects.sums()
    assert before == {
        "batches": 43,
        "messages": 129,
        "readings": 172,
        "stored": 86,
        "duplicates": 43,
        "rejected": 43,
    }
    assert fold(TimeShare()) == {"counted": 37, "deleted": 28, "added_up": 0}
    assert IngestBatch.objects.sums() == before
    assert IngestBatch.objects.filter(touched_sensors__isnull=False).count() == 4
    totals = IngestTotal.objects.filter(start=minute).values_list("source", "batches", "readings")
    assert set(totals) == {("mqtt:main", 29, 116), ("http", 3, 12)}
    assert RetentionRun.objects.get(kind="ledger").rows == 28
    assert fold(TimeShare()) == {"counted": 0, "deleted": 0, "added_up": 0}


@pytest.mark.django_db
def test_after_a_month_minutes_become_a_day(now: datetime) -> None:
    midnight = (now - timedelta(days=40)).replace(hour=0, minute=0, second=0, microsecond=0)
    for minutes in (0, 1, 700, 1439, 1440, 1500):
        enter(2, midnight + timedelta(minutes=minutes))
    before = IngestBatch.objects.sums()
    fold(TimeShare())
    assert list(IngestTotal.objects.order_by("start").values_list("start", "batches")) == [
        (midnight, 8),
        (midnight + timedelta(days=1), 4),
    ]
    # Late ones: a row that stood in the way of counting until now.
    enter(1, midnight + timedelta(minutes=3))
    fold(TimeShare())
    assert IngestTotal.objects.get(start=midnight).batches == 9
    assert IngestBatch.objects.sums()["batches"] == before["batches"] + 1


@pytest.mark.django_db
def test_the_row_of_a_batch_that_may_come_again_stays(now: datetime) -> None:
    enter(2, now - timedelta(days=9))
    enter(2, now - timedelta(days=20))
    assert fold(TimeShare(), now - timedelta(days=10))["deleted"] == 2
    assert IngestBatch.objects.count() == 2


@pytest.mark.django_db
def test_it_handles_a_death_in_a_piece(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    enter(25, now - timedelta(days=8))
    before = IngestBatch.objects.sums()
    with monkeypatch.context() as patched:
        patched.setattr(RetentionRun.objects, "note", None)
        with pytest.raises(TypeError):
            fold(TimeShare())
    assert IngestBatch.objects.sums() == before
    assert fold(TimeShare())["deleted"] == 25
    assert IngestBatch.objects.sums() == before


@pytest.mark.django_db
def test_the_sums_read_what_is_not_counted_by_its_index(now: datetime) -> None:
    enter(20, now - timedelta(hours=1))
    fold(TimeShare())
    with CaptureQueriesContext(connection) as queries:
        IngestBatch.objects.sums()
    (query,) = queries
    planned = plan(query["sql"], without=("seqscan",))
    assert "ledger_uncounted" in planned, planned


@pytest.mark.django_db(transaction=True)
def test_the_sums_never_change_while_it_is_folded_and_ingested(now: datetime) -> None:
    """Every sum that anybody reads is one that was true at some moment: what a batch adds, once."""
    enter(300, now - timedelta(days=8))
    over, seen, failures = threading.Event(), [], []

    def run(work: object) -> None:
        try:
            while not over.is_set():
                work()  # type: ignore[operator]
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    def ingest() -> None:
        enter(1, now - timedelta(days=8))
        time.sleep(0.002)

    works = [ingest, lambda: seen.append(IngestBatch.objects.sums()), lambda: fold(TimeShare())]
    threads = [threading.Thread(target=run, args=[work]) for work in [*works, works[-1]]]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    while time.monotonic() < began + 2 or (len(seen) <= 20 and time.monotonic() < began + 60):
        time.sleep(0.1)
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []
    fold(TimeShare())
    batches = [sums["batches"] for sums in seen]
    assert batches == sorted(batches)
    assert batches[0] >= 300
    assert len(batches) > 20
    assert all(sums["readings"] == 4 * sums["batches"] for sums in seen)
    assert not IngestBatch.objects.exists()
    assert IngestBatch.objects.sums()["batches"] >= batches[-1]
