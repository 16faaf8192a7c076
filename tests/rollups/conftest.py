"""Rows stored as ingest stores them, with their ledger entry, on chosen days."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from monitoring.models import Sensor
from monitoring.partitions import ensure_partitions


@pytest.fixture
def years(sensors: dict[int, Sensor]) -> dict[int, Sensor]:
    """The sensors, and partitions for all of 2025 and 2026."""
    moments: Iterable[datetime] = (datetime(year, 1, 1, tzinfo=UTC) for year in (2025, 2027))
    ensure_partitions(*moments)
    return sensors
