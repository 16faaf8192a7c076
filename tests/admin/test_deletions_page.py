"""False readings are deleted in the admin: what would go is shown first."""

import re
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from monitoring.models import Deletion, Measurement
from monitoring.upkeep.deleting import delete_measurements
from monitoring.upkeep.pieces import TimeShare

ADD = "admin:monitoring_deletion_add"


def form(start: datetime, until: datetime, **more: object) -> dict[str, object]:
    return {
        "sensor_id": 3,
        "start_0": f"{start:%Y-%m-%d}",
        "start_1": f"{start:%H:%M:%S}",
        "until_0": f"{until:%Y-%m-%d}",
        "until_1": f"{until:%H:%M:%S}",
        "low": "",
        "high": "",
        **more,
    }


def test_it_works(admin: Client, data: datetime) -> None:
    mine = Measurement.objects.filter(sensor=3, value__lte=5)
    count = mine.count()
    assert 0 < count < Measurement.objects.filter(sensor=3).count()
    said = form(data - timedelta(days=1), data + timedelta(hours=1), high="5")

    asked = admin.post(reverse(ADD), said).content.decode()
    assert f"{count} measurements would be deleted" in asked
    assert not Deletion.objects.exists()
    confirmed = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', asked))
    del confirmed["csrfmiddlewaretoken"]
    assert {name: str(value) for name, value in said.items()}.items() <= confirmed.items()

    assert admin.post(reverse(ADD), confirmed).status_code == 302
    deletion = Deletion.objects.get()
    assert (deletion.requested_by, deletion.high, deletion.low) == ("admin", 5.0, None)
    delete_measurements(TimeShare())
    assert not mine.exists()

    listed = admin.get(reverse("admin:monitoring_deletion_changelist")).content.decode()
    assert "done" in listed
    page = admin.get(reverse("admin:monitoring_deletion_change", args=[deletion.pk])).content.decode()
    for seen in ("admin", str(count)):
        assert seen in page


def test_it_cannot_be_changed_or_taken_back(admin: Client, data: datetime) -> None:
    deletion = Deletion.objects.create(sensor_id=3, start=data, until=data + timedelta(days=1))
    change = reverse("admin:monitoring_deletion_change", args=[deletion.pk])
    assert admin.post(change, form(data, data + timedelta(days=9))).status_code == 403
    assert admin.post(reverse("admin:monitoring_deletion_delete", args=[deletion.pk])).status_code == 403
    deletion.refresh_from_db()
    assert deletion.until == data + timedelta(days=1)


def test_it_wants_the_right_to_delete_measurements(client: Client, data: datetime) -> None:
    ana = User.objects.create_user("ana", is_staff=True)
    ana.user_permissions.add(Permission.objects.get(codename="view_deletion"))
    client.force_login(ana)
    said = form(data - timedelta(days=1), data)
    for more in ({}, {"_confirmed": "1"}):
        assert client.post(reverse(ADD), said | more).status_code == 403
    assert client.get(reverse("admin:monitoring_deletion_changelist")).status_code == 200
    assert not Deletion.objects.exists()
    ana.user_permissions.add(Permission.objects.get(codename="delete_measurement"))
    assert client.post(reverse(ADD), said).status_code == 200


@pytest.mark.parametrize(
    ("hours", "more", "seen"),
    [
        (0, {}, "Must lie after the beginning."),
        (1, {"low": "2", "high": "1"}, "Must not be below the lowest."),
        (1, {"low": "nan"}, "Enter a number."),
        (1, {"sensor_id": 99}, "There is no sensor with this id."),
        (1, {"sensor_id": 10**30}, "errornote"),
    ],
)
def test_what_is_wrong_is_said(
    admin: Client, data: datetime, hours: int, more: dict[str, object], seen: str
) -> None:
    said = form(data - timedelta(hours=hours), data, **more)
    for confirmed in ({}, {"_confirmed": "1"}):
        answer = admin.post(reverse(ADD), said | confirmed)
        assert answer.status_code == 200
        assert seen in answer.content.decode()
    assert not Deletion.objects.exists()
