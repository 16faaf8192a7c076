"""TIME_ZONE: the admin shows times in it, says so, and reads what is typed in it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from monitoring.models import Deletion, Measurement, RejectedTally, RetentionRun, Sensor
from monitoring.upkeep.partitions import ensure_partitions
from tests.admin.test_pages import page

AT = datetime(2026, 1, 28, 20, 0, tzinfo=UTC)


@pytest.fixture
def kathmandu(settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Kathmandu"


@pytest.fixture
def measured(sensors: dict[int, Sensor]) -> None:
    ensure_partitions(AT, AT)
    Measurement.objects.create(sensor_id=3, created_at=AT, received_at=AT, value=2.57, unit="V")


def test_it_works(kathmandu: None, admin: Client, measured: None) -> None:
    html = admin.get(page(Measurement)).content.decode()
    assert "Measured at (Asia/Kathmandu)" in html
    assert "2026-01-29 01:45:00.000" in html.replace("\xa0", " ").replace("\u2011", "-")


def test_utc_unless_it_is_said(admin: Client, measured: None) -> None:
    html = admin.get(page(Measurement)).content.decode()
    assert "Measured at (UTC)" in html
    assert "2026-01-28 20:00:00.000" in html.replace("\xa0", " ").replace("\u2011", "-")


def test_every_list_names_the_zone(kathmandu: None, admin: Client, data: datetime) -> None:
    RetentionRun.objects.note(RetentionRun.Kind.SENSOR, "1", 5, AT, AT)
    Deletion.objects.create(sensor_id=1, start=AT, until=data, requested_by="admin")
    for model in (Measurement, RejectedTally, RetentionRun, Deletion):
        html = admin.get(page(model)).content.decode()
        assert "(Asia/Kathmandu)" in html, model
        # Partitions begin and end at midnights of UTC.
        assert "(UTC)" not in html.replace("Span (UTC)", ""), model


@pytest.mark.parametrize(
    ("day", "time", "found"),
    [("2026-01-29", "", 1), ("2026-01-29", "01:45", 1), ("2026-01-29", "01:46", 0), ("2026-01-30", "", 0)],
)
def test_what_is_typed_is_in_it_too(
    kathmandu: None, admin: Client, measured: None, day: str, time: str, found: int
) -> None:
    asked = {"created_at_from_0": day, "created_at_from_1": time}
    assert len(admin.get(page(Measurement), asked).context["cl"].result_list) == found
