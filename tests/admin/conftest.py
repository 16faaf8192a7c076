from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from monitoring.models import IngestBatch, Measurement, RejectedMessage, RejectedTally, Sensor
from tests.rejected.conftest import hand_over, reject

__all__ = ["hand_over", "reject"]

HOSTILE = b'{"sensor_id": 1, "value": "<script>alert(1)</script>\x00\xe2\x80\xae"}'


@pytest.fixture
def data(sensors: dict[int, Sensor]) -> datetime:
    """Two pages of measurements and one row of everything else; returns the newest moment."""
    now = datetime.now(UTC)
    Measurement.objects.bulk_create(
        Measurement(
            sensor_id=1 + i % 3, created_at=now - timedelta(minutes=i), received_at=now, value=i / 7, unit="V"
        )
        for i in range(120)
    )
    batch = IngestBatch.objects.create(
        id=uuid4(),
        source="mqtt:main",
        messages=3,
        readings=3,
        stored=1,
        duplicates=1,
        rejected=1,
        first_received_at=now,
        last_received_at=now,
        touched_sensors=[1],
        touched_minutes=[1],
    )
    for payload, code in ((HOSTILE, "bad_type"), (b"\xff\xfe<b>", "not_utf8"), (b"", "not_json")):
        RejectedMessage.objects.create(
            received_at=now,
            topic="iot/<i>x",
            payload=payload,
            length=len(payload),
            code=code,
            detail='value is "<script>"',
            batch=batch.id,
            position=0,
        )
    RejectedTally.objects.create(
        code="not_json",
        hour=now.replace(minute=0, second=0, microsecond=0),
        seen=50,
        kept=20,
        kept_bytes=2000,
    )
    return now


@pytest.fixture
def admin(admin_client: Client) -> Client:
    return admin_client


@pytest.fixture
def viewer(client: Client, db: None) -> Client:
    return signed_in(client, "viewer")


def signed_in(client: Client, group: str, *more: str) -> Client:
    """As somebody of the group, with more permissions of monitoring's."""
    user = User.objects.create_user(f"a {group}", is_staff=True)
    user.groups.set(Group.objects.filter(name=group))
    user.user_permissions.set(Permission.objects.filter(codename__in=more))
    client.force_login(user)
    return client
