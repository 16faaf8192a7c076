"""A fresh installation can be used at once, and a second first run changes nothing."""

import stat
from pathlib import Path

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import call_command

from monitoring.models import AlertRule, Sensor
from monitoring.upkeep.partitions import existing

pytestmark = pytest.mark.django_db


@pytest.fixture
def password(settings: object, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path / "data"  # type: ignore[attr-defined]
    return tmp_path / "data" / "admin-password"


def test_it_works(password: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("first_run")
    sensors = list(Sensor.objects.values_list("id", "name", "kind", "unit"))
    assert sensors == [
        (1, "Capteur Temp Salon", "temperature", "°C"),
        (2, "Capteur Humidité Salon", "humidity", "%"),
        (3, "Capteur Lumière Salon", "light", "V"),
    ]
    assert len(existing()) >= 3
    secret = password.read_text().strip()
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert authenticate(username="admin", password=secret).is_superuser  # type: ignore[union-attr]
    said = capsys.readouterr().out
    assert secret not in said
    assert "admin-password" in said


def test_a_second_run_changes_nothing(password: Path) -> None:
    call_command("first_run")
    secret = password.read_text()
    Sensor.objects.filter(pk=3).delete()
    Sensor.objects.filter(pk=1).update(name="Cave")
    call_command("first_run")
    assert password.read_text() == secret
    assert list(Sensor.objects.values_list("name", flat=True)) == ["Cave", "Capteur Humidité Salon"]


def test_it_makes_one_rule_of_alerts_once(password: Path) -> None:
    call_command("first_run")
    rule = AlertRule.objects.get()
    rule.full_clean()
    assert (rule.kind, rule.sensor_id, rule.channels.count()) == ("silence", None, 0)
    rule.delete()
    call_command("first_run")
    assert not AlertRule.objects.exists()


def test_an_old_password_without_its_user_is_replaced(password: Path) -> None:
    password.parent.mkdir()
    password.write_text("old\n")
    password.chmod(0o644)
    call_command("first_run")
    assert authenticate(username="admin", password=password.read_text().strip())
    assert stat.S_IMODE(password.stat().st_mode) == 0o600


def test_it_handles_a_superuser_of_another_name(password: Path) -> None:
    get_user_model().objects.create_superuser("somebody")
    call_command("first_run")
    assert not password.exists()


def test_it_handles_an_admin_without_rights(password: Path, capsys: pytest.CaptureFixture[str]) -> None:
    get_user_model().objects.create_user("admin")
    call_command("first_run")
    assert not get_user_model().objects.get().is_superuser
    assert "createsuperuser" in capsys.readouterr().out
