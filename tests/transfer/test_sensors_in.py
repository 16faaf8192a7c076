"""Sensors from a CSV: what would come of it, all of it or nothing; by the command and in the admin."""

import html
import re
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from monitoring.models import Sensor
from monitoring.transfer.lines_in import FileError
from monitoring.transfer.sensors_in import MAX_BYTES, MAX_LINES, carry_out, decoded, plan

pytestmark = pytest.mark.django_db
FIELDS = ("id", "name", "kind", "unit", "location", "is_active", "retention_days")
PAGE = "admin:monitoring_sensor_import_file"


def all_of_them() -> list[tuple[object, ...]]:
    return list(Sensor.objects.order_by("pk").values_list(*FIELDS))


def test_lines_add_change_or_leave(sensors: dict[int, Sensor]) -> None:
    text = (
        "id,name,kind,unit,location,is_active,retention_days\n"
        "1,Capteur Temp Salon,temperature,°C,,yes,\n"
        '2,Capteur Humidité Salon,humidity,%,"Hall, left",no,30\n'
        "9000,Porch,temperature,°C,Porch,,\n"
        ",Cellar,,,,,\n"
    )
    before = all_of_them()
    planned = plan(text)
    assert all_of_them() == before
    assert [sensor.name for sensor in planned.added] == ["Porch", "Cellar"]
    assert [(one.sensor.pk, one.fields) for one in planned.changed] == [
        (2, {"location": ("", "Hall, left"), "is_active": (True, False), "retention_days": (None, 30)})
    ]
    assert ([sensor.pk for sensor in planned.unchanged], planned.refused) == ([1], [])
    carry_out(text)
    cellar = Sensor.objects.get(name="Cellar").pk
    assert cellar > 9000, "the next free one is past every other"
    assert all_of_them() == [
        (1, "Capteur Temp Salon", "temperature", "°C", "", True, None),
        (2, "Capteur Humidité Salon", "humidity", "%", "Hall, left", False, 30),
        (3, "Capteur Lumière Salon", "light", "V", "", True, None),
        (9000, "Porch", "temperature", "°C", "Porch", True, None),
        (cellar, "Cellar", "", "", "", True, None),
    ]
    assert not plan(text.replace(",Cellar", f"{cellar},Cellar")).does_something


def test_what_somebody_changes_meanwhile_stands(sensors: dict[int, Sensor]) -> None:
    planned = plan("id,name,location\n1,Capteur Temp Salon,Hall\n2,Renamed,\n")
    Sensor.objects.filter(pk=1).update(name="of somebody else")
    Sensor.objects.filter(pk=2).update(location="of somebody else")
    Sensor.objects.change((change.sensor, change.fields) for change in planned.changed)
    assert list(Sensor.objects.filter(pk__in=[1, 2]).order_by("pk").values_list("name", "location")) == [
        ("of somebody else", "Hall"),
        ("Renamed", "of somebody else"),
    ]


def test_columns_that_a_file_lacks_stay_as_they_are(sensors: dict[int, Sensor]) -> None:
    carry_out("location;ID\nHall;1\n\nPorch;2\n")  # as a spreadsheet writes it, and in any order and case
    assert [sensor.location for sensor in Sensor.objects.order_by("pk")] == ["Hall", "Porch", ""]
    assert Sensor.objects.get(pk=1).kind == "temperature"


@pytest.mark.parametrize(
    ("line", "field", "said"),
    [
        ("1,,", "name", "blank"),
        ("8,,", "name", "must have one"),
        ("0,Zero,", "id", "whole number"),
        (f"{2**63},Far,", "id", "whole number"),
        ("x,Y,", "id", "whole number"),
        ("1,One,maybe", "is_active", "true, yes, 1"),
        (f"1,{'x' * 201},", "name", "200"),
        ("1,a\0b,", "name", "null character"),
        ("3,Gone,", "id", "being removed"),
    ],
)
def test_one_line_that_is_refused_stops_all(
    sensors: dict[int, Sensor], line: str, field: str, said: str
) -> None:
    Sensor.objects.filter(pk=3).request_removal()
    before = all_of_them()
    done = carry_out(f"id,name,is_active\n77,Good,1\n{line}\n")
    ((number, reason, detail),) = done.refused
    assert (number, reason) == (3, field)
    assert said in detail
    assert all_of_them() == before


def test_a_sensor_twice(sensors: dict[int, Sensor]) -> None:
    done = plan("id,name\n7,a\n8,b\n7,c\n")
    assert [(fault.line, fault.detail) for fault in done.refused] == [(4, "line 2 has it too")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "first line must name"),
        ("kind,unit\na,b\n", "with id or name"),
        ("id,name,colour\n", "no 'colour'"),
        ("id,id\n", "first line must name"),
        ("id,name\n1\n", "line 2 has 1 fields"),
        ('id,name\n1,"a\n', "line 2"),
        ("name\n" + "a\n" * (MAX_LINES + 1), "more than 10,000 lines"),
    ],
)
def test_what_is_no_list_of_sensors(text: str, said: str) -> None:
    with pytest.raises(FileError, match=re.escape(said)):
        plan(text)


@pytest.mark.parametrize(
    ("content", "said"), [(b"id,name\n1,\xff\n", "UTF-8"), (b"x" * (MAX_BYTES + 1), "larger than 1 MiB")]
)
def test_what_is_no_text(content: bytes, said: str) -> None:
    with pytest.raises(FileError, match=said):
        decoded(content)


class AnyText(TestCase):
    @given(st.text(max_size=200), st.sampled_from(["id,name", "name,kind,is_active", "id,retention_days"]))
    def test_any_text_is_planned_or_refused(self, text: str, header: str) -> None:
        try:
            done = carry_out(f"{header}\n{text}")
        except FileError:
            return
        assert Sensor.objects.count() == (0 if done.refused else len(done.added))


def run(*options: str) -> str:
    said = StringIO()
    call_command("import_sensors", *options, stdout=said, stderr=said)
    return said.getvalue()


def test_the_command(sensors: dict[int, Sensor], tmp_path: Path) -> None:
    file = tmp_path / "sensors.csv"
    file.write_bytes("\ufeffid,name,location\n1,Capteur Temp Salon,Hall\n40,New,\n".encode())
    assert "1 would be added, 1 would be changed, 0 are as the file says" in run(str(file), "--dry-run")
    assert Sensor.objects.count() == 3
    assert "sensor 1: location: '' → 'Hall'\n1 added, 1 changed" in run(str(file))
    assert Sensor.objects.get(pk=40).name == "New"
    file.write_text("id,name\n1,\n")
    with pytest.raises(CommandError, match="1 lines are refused; nothing was changed"):
        run(str(file))
    with pytest.raises(CommandError, match=r"none\.csv: No such file"):
        run(str(tmp_path / "none.csv"))


def upload(text: str) -> dict[str, object]:
    return {"file": SimpleUploadedFile("sensors.csv", text.encode())}


def test_in_the_admin_it_is_looked_at_first(admin_client: Client, sensors: dict[int, Sensor]) -> None:
    listed = admin_client.get(reverse("admin:monitoring_sensor_changelist")).content.decode()
    assert reverse(PAGE) in listed
    assert "retention_days" in admin_client.get(reverse(PAGE)).content.decode()
    text = "id,name\n1,<b>Hall\n41,New\n2,Capteur Humidité Salon\n"
    shown = admin_client.post(reverse(PAGE), upload(text)).content.decode()
    assert Sensor.objects.count() == 3
    assert "name: &#x27;Capteur Temp Salon&#x27; → &#x27;&lt;b&gt;Hall&#x27;" in shown
    said = re.search(r"<textarea name=\"text\" hidden>\n(.*?)</textarea>", shown, re.S)
    assert said is not None
    assert html.unescape(said[1]) == text
    done = admin_client.post(reverse(PAGE), {"text": text.replace("\n", "\r\n")}, follow=True)
    assert "1 sensors were added, 1 changed" in done.content.decode()
    assert (Sensor.objects.get(pk=1).name, Sensor.objects.get(pk=41).name) == ("<b>Hall", "New")


@pytest.mark.parametrize(
    ("text", "said"), [("id,colour\n", "no &#x27;colour&#x27;"), ("id,name\n1,\n", "line 2"), ("", "empty")]
)
def test_in_the_admin_a_file_is_refused(
    admin_client: Client, sensors: dict[int, Sensor], text: str, said: str
) -> None:
    shown = admin_client.post(reverse(PAGE), upload(text)).content.decode()
    assert said in shown
    assert "<textarea" not in shown


def test_what_is_sent_for_carrying_out_is_looked_at_again(
    admin_client: Client, sensors: dict[int, Sensor]
) -> None:
    assert "line 2" in admin_client.post(reverse(PAGE), {"text": "id,name\n1,\n"}).content.decode()
    assert (
        "no &#x27;colour&#x27;" in admin_client.post(reverse(PAGE), {"text": "id,colour\n"}).content.decode()
    )


@pytest.mark.parametrize("right", ["add_sensor", "change_sensor"])
def test_it_wants_both_rights(client: Client, sensors: dict[int, Sensor], right: str) -> None:
    ana = User.objects.create_user("ana", is_staff=True)
    ana.user_permissions.add(
        Permission.objects.get(codename="view_sensor"), Permission.objects.get(codename=right)
    )
    client.force_login(ana)
    assert reverse(PAGE) not in client.get(reverse("admin:monitoring_sensor_changelist")).content.decode()
    assert client.post(reverse(PAGE), {"text": "name\nx\n"}).status_code == 403
    assert Sensor.objects.count() == 3
