"""`manage.py retention` says what would go, and what went."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from batches.store import BatchStore
from monitoring import tasks
from monitoring.models import IngestBatch, IngestTotal, Measurement, Sensor
from monitoring.upkeep.partitions import existing

pytestmark = pytest.mark.django_db(transaction=True)


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("retention", *arguments, stdout=out)
    return out.getvalue()


def test_it_works(partitions: str, measure: Callable[..., None], store: BatchStore, old: datetime) -> None:
    assert "nothing" not in said("--dry-run")
    Sensor.objects.filter(pk=1).update(retention_days=5)
    Sensor.objects.filter(pk=2).request_removal()
    now = datetime.now(UTC)
    measure(1, now - timedelta(days=20), 12)
    measure(2, now, 3)
    measure(3, old, 4)
    measure(3, now, 5)

    would = said("--dry-run")
    assert partitions in would
    assert "12" in would
    assert Measurement.objects.count() == 24

    went = said()
    for what in (partitions, "partition dropped", "sensor removed", "sensor's own retention", " KB"):
        assert what in went
    assert partitions not in existing()
    assert list(Measurement.objects.values_list("sensor").distinct()) == [(3,)]
    assert "nothing" in said("--dry-run")
    assert said() == "nothing went\n"


def test_it_goes_as_far_as_it_can_without_redis(partitions: str, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    out = StringIO()
    with pytest.raises(CommandError, match=r"Redis .* \(REDIS_URL: .*\), so the ledger"):
        call_command("retention", stdout=out)
    assert partitions in out.getvalue()
    assert partitions not in existing()


def test_the_jobs_do_the_same(partitions: str, measure: Callable[..., None], store: BatchStore) -> None:
    now = datetime.now(UTC)
    Sensor.objects.filter(pk=1).update(retention_days=5)
    Sensor.objects.filter(pk=2).request_removal()
    measure(1, now - timedelta(days=20), 2)
    IngestBatch.objects.create(id=f"{1:032}", source="http", first_received_at=now, last_received_at=now)
    IngestBatch.objects.update(ingested_at=now - timedelta(days=8))
    assert tasks.drop_partitions() == [partitions]
    assert tasks.delete_expired() == {"sensor_rows": 2, "rejected": 0}
    assert tasks.remove_sensors() == {"rows": 0, "sensors": 1}
    assert tasks.fold_ledger() == {"counted": 1, "deleted": 1, "added_up": 0}
    assert IngestTotal.objects.get().batches == 1
