"""Clients of the API, and rows to read."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from rest_framework.test import APIClient

from batches.store import BatchStore
from monitoring.models import Measurement, Sensor, Token
from tests.rejected.conftest import hand_over, reject

__all__ = ["hand_over", "reject"]

API = "/api/monitoring/"


@pytest.fixture
def user(db: None) -> User:
    """In the group operator."""
    user = User.objects.create_user("ana", password="a good password")
    user.groups.add(Group.objects.get(name="operator"))
    return user


@pytest.fixture
def client(settings: Any) -> APIClient:
    """Anybody, where reading is public."""
    settings.API_PUBLIC_READ = True
    return APIClient()


@pytest.fixture
def sender(user: User, store: BatchStore) -> Iterator[APIClient]:
    """Somebody with a token; the store is empty."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Token " + Token.objects.create(user=user)[1])
    return client


@pytest.fixture
def measure(sensors: dict[int, Sensor], noon: datetime) -> Callable[..., None]:
    """measure(3, seconds, ...): a row of sensor 3 at each of these seconds after noon."""

    def measure(sensor_id: int, *seconds: float) -> None:
        moments = [noon + timedelta(seconds=second) for second in seconds]
        Measurement.objects.bulk_create(
            Measurement(sensor_id=sensor_id, created_at=at, received_at=at, value=2.57, unit="V")
            for at in moments
        )

    return measure
