"""Rows stored as ingest stores them, with their ledger entry, on chosen days."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from monitoring.models import Sensor
from monitoring.upkeep.partitions import ensure_partitions


@pytest.fixture
def years(sensors: dict[int, Sensor], settings: Any) -> dict[int, Sensor]:
    """The sensors, and partitions for all of 2025 and 2026, which are kept whenever these tests run."""
    settings.RETENTION_DAYS = settings.ROLLUP_MINUTE_RETENTION_DAYS = 36_500
    moments: Iterable[datetime] = (datetime(year, 1, 1, tzinfo=UTC) for year in (2025, 2027))
    ensure_partitions(*moments)
    return sensors
