"""Retention's page, and a sensor's deletion by hand."""

from datetime import datetime, timedelta

from django.test import Client
from django.urls import reverse

from monitoring.models import RetentionRun, Sensor
from monitoring.upkeep.partitions import ensure_partitions, existing

PAGE = reverse("admin:monitoring_retentionrun_changelist")
SENSORS = reverse("admin:monitoring_sensor_changelist")


def test_it_works(admin: Client, data: datetime) -> None:
    (old,) = ensure_partitions(data - timedelta(days=800), data - timedelta(days=800))
    Sensor.objects.filter(pk=2).request_removal()
    RetentionRun.objects.note(
        RetentionRun.Kind.PARTITION, "monitoring_measurement_gone", 1234567, freed=2**30
    )
    html = admin.get(PAGE).content.decode()
    for text in (*existing(), "with the next run", "RETENTION_DAYS", "~1,234,567", "40 measurements left"):
        assert text in html
    assert html.count("with the next run") == 1
    assert old in html


def test_a_sensor_is_deleted_by_a_job(admin: Client, data: datetime) -> None:
    delete = reverse("admin:monitoring_sensor_delete", args=[3])
    assert "Capteur Lumière Salon (3): 40 measurements" in admin.get(delete).content.decode()
    assert admin.post(delete, {"post": "yes"}).status_code == 302
    asked = {"action": "delete_selected", "_selected_action": [1, 2]}
    assert "40 measurements" in admin.post(SENSORS, asked).content.decode()
    assert Sensor.objects.present().count() == 2
    assert admin.post(SENSORS, asked | {"post": "yes"}).status_code == 302
    assert Sensor.objects.filter(removal_requested_at__isnull=False, is_active=False).count() == 3
    assert "Capteur" not in admin.get(SENSORS).content.decode()
    assert admin.get(reverse("admin:monitoring_sensor_change", args=[3])).status_code == 302


def test_a_form_that_was_open_does_not_undo_it(admin: Client, data: datetime) -> None:
    form = {"name": "Salon", "kind": "light", "unit": "V", "location": "", "is_active": "on"}
    admin.post(reverse("admin:monitoring_sensor_change", args=[3]), form)
    assert Sensor.objects.get(pk=3).name == "Salon"
    Sensor.objects.filter(pk=3).request_removal()
    admin.post(reverse("admin:monitoring_sensor_change", args=[3]), form | {"name": "again"})
    assert not Sensor.objects.get(pk=3).is_active
    assert Sensor.objects.get(pk=3).name == "Salon"
