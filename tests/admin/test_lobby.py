"""The lobby: approve, block, and mend what does not fit."""

from datetime import datetime
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from monitoring.admin import lobby_page
from monitoring.models import BlockedSensor, Job, Measurement, RejectedMessage, Sensor
from monitoring.rejected import jobs
from monitoring.upkeep.pieces import TimeShare
from tests.admin.conftest import signed_in
from tests.rejected.conftest import Reject, reading, register

pytestmark = pytest.mark.django_db

LOBBY = reverse("admin:monitoring_rejectedmessage_lobby")


@pytest.fixture(autouse=True)
def ids_from_four(db: None):  # type: ignore[no-untyped-def]
    """A sequence is not rolled back with a test's transaction, and other tests look at what comes next."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('monitoring_sensor_id_seq', 3)")


def posted(client: Client, **form: object) -> str:
    return unescape(client.post(LOBBY, form, follow=True).content.decode())


def form_of(sensor: int, **more: str) -> dict[str, object]:
    fields = {"name": f"Sensor {sensor}", "kind": "", "unit": "", "location": ""} | more
    return {"do": "approve", "sensor": sensor} | {f"of{sensor}-{name}": text for name, text in fields.items()}


def test_it_shows_who_waits_and_what_they_say(admin: Client, reject: Reject) -> None:
    reject(*(reading(12, 20 + value, type="temperature", unit="°C") for value in range(3)), reading(13))
    lines = {line.guest.sensor_id: line for line in admin.get(LOBBY).context["lines"]}
    assert set(lines) == {12, 13}
    line = lines[12]
    assert (line.messages, line.said, line.value) == ("3 messages", ["temperature", "°C"], "22")
    assert line.topics == ["iot/measurements"]
    assert line.form.initial == {"name": "Sensor 12", "kind": "temperature", "unit": "°C", "location": ""}
    (only,) = admin.get(LOBBY, {"only": 13}).context["lines"]
    assert (only.guest.sensor_id, only.is_open) == (13, True)
    for nonsense in ("x", "0", "9" * 30):
        assert len(admin.get(LOBBY, {"only": nonsense}).context["lines"]) == 2


def test_a_sensor_is_approved_with_what_it_sent(admin: Client, reject: Reject, noon: datetime) -> None:
    rows = reject(*(reading(12, value, type="temperature", unit="°C") for value in range(3)), at=noon)
    form = form_of(12, name="Serre <b>", kind="temperature", unit="°C", location="garden")
    answer = admin.post(LOBBY, form)
    job = Job.objects.get()
    assert answer["Location"] == reverse("admin:monitoring_job_change", args=[job.pk])
    sensor = Sensor.objects.get(pk=12)
    assert (sensor.name, sensor.kind, sensor.unit, sensor.location) == (
        *("Serre <b>", "temperature", "°C"),
        "garden",
    )
    jobs.work(TimeShare())
    assert sorted(one.created_at for one in Measurement.objects.filter(sensor=12)) == [
        row.received_at for row in rows
    ]
    assert not admin.get(LOBBY).context["lines"]
    assert "There is a sensor 12 already" in posted(admin, **form)


def test_a_form_that_cannot_be_is_shown_again(admin: Client, reject: Reject) -> None:
    reject(reading(12))
    answer = admin.post(LOBBY, form_of(12, name="", location="<script>alert(1)</script>"))
    (line,) = answer.context["lines"]
    assert line.is_open
    assert line.form.errors["name"]
    assert "<script>alert" not in answer.content.decode()
    assert not Sensor.objects.filter(pk=12).exists()


def test_many_are_approved_as_suggested(admin: Client, reject: Reject) -> None:
    reject(reading(12, unit="V"), reading(13), reading(14))
    html = posted(admin, do="approve_many", marked=[12, 14, 77, "x"])
    assert "2 sensors are registered" in html
    assert set(Sensor.objects.filter(pk__gt=3).values_list("pk", "unit")) == {(12, "V"), (14, "")}
    jobs.work(TimeShare())
    assert Measurement.objects.count() == 2
    assert "Mark some sensors first." in posted(admin, do="approve_many")


def test_an_id_is_blocked_and_unblocked(admin: Client, reject: Reject) -> None:
    reject(reading(12))
    assert "Sensor id 12 is blocked" in posted(admin, do="block", sensor=12)
    jobs.work(TimeShare())
    assert RejectedMessage.objects.get().state == "dismissed"
    context = admin.get(LOBBY).context
    assert not context["lines"]
    assert [one.sensor_id for one, _ in context["blocked"]] == [12]
    assert BlockedSensor.objects.get().blocked_by == "admin"
    assert "is not blocked any more" in posted(admin, do="unblock", sensor=12)
    assert not BlockedSensor.objects.exists()
    reject(reading(12))
    assert len(admin.get(LOBBY).context["lines"]) == 1


def test_nonsense_does_nothing(admin: Client, reject: Reject) -> None:
    reject(reading(12))
    for form in ({}, {"do": "approve"}, {"do": "block", "sensor": "x"}, {"do": "x", "sensor": "12"}):
        assert admin.post(LOBBY, form).status_code == 302
    assert Sensor.objects.count() == 3
    assert not Job.objects.exists()
    assert not BlockedSensor.objects.exists()


def test_who_may_what(client: Client, reject: Reject) -> None:
    reject(reading(12), reading(1, unit="C"))
    signed_in(client, "nobody's", "view_rejectedmessage", "change_rejectedmessage")
    html = client.get(LOBBY).content.decode()
    assert 'value="approve"' not in html
    assert 'value="block"' in html
    assert client.post(LOBBY, form_of(12)).status_code == 403
    assert client.post(LOBBY, {"do": "approve_many", "marked": [12]}).status_code == 403
    remedy = {"do": "remedy_confirmed", "code": "unit_mismatch", "sensor": 1}
    remedy["detail"] = RejectedMessage.objects.get(code="unit_mismatch").detail
    assert client.post(LOBBY, remedy | {"remedy": "change_unit"}).status_code == 403
    assert Sensor.objects.count() == 3
    assert not Job.objects.exists()
    assert client.post(LOBBY, remedy | {"remedy": "read_unit_as"}).status_code == 302
    assert client.post(LOBBY, {"do": "block", "sensor": 12}).status_code == 302
    assert Job.objects.count() == 2


def test_a_viewer_changes_nothing(viewer: Client, reject: Reject) -> None:
    reject(reading(12))
    BlockedSensor.objects.create(pk=66, blocked_by="ana")
    for do in ("approve", "approve_many", "block", "unblock", "remedy", "remedy_confirmed"):
        assert viewer.post(LOBBY, {"do": do, "sensor": 12, "marked": [12]}).status_code == 403, do
    assert BlockedSensor.objects.get().pk == 66
    assert not Job.objects.exists()


# --- what does not fit --------------------------------------------------------------------------------------


def test_a_sensor_that_was_switched_off_is_switched_on(admin: Client, reject: Reject) -> None:
    Sensor.objects.filter(pk=1).update(is_active=False)
    reject(reading(1), reading(1, 2))
    (line,) = admin.get(LOBBY).context["misfits"]
    assert [one.name for one in line.remedies] == ["activate"]
    asked = {"remedy": "activate", "code": "inactive_sensor", "sensor": 1, "detail": line.misfit.detail}
    html = posted(admin, do="remedy", **asked)
    assert "2 messages would be replayed." in html
    assert not Sensor.objects.get(pk=1).is_active
    posted(admin, do="remedy_confirmed", **asked)
    jobs.work(TimeShare())
    assert Sensor.objects.get(pk=1).is_active
    assert Measurement.objects.count() == 2
    assert "That does not wait any more." in posted(admin, do="remedy", **asked)


@pytest.mark.parametrize(("remedy", "unit"), [("change_unit", "C"), ("read_unit_as", "°C")])
def test_a_unit_is_changed_or_read_as_the_sensors(
    admin: Client, reject: Reject, remedy: str, unit: str
) -> None:
    reject(reading(1, unit="C"))
    (line,) = admin.get(LOBBY).context["misfits"]
    asked = {"remedy": remedy, "code": "unit_mismatch", "sensor": 1, "detail": line.misfit.detail}
    html = posted(admin, do="remedy", **asked)
    assert ("1 reading would be stored." in html) == (remedy == "read_unit_as")
    assert Sensor.objects.get(pk=1).unit == "°C"
    posted(admin, do="remedy_confirmed", **asked)
    jobs.work(TimeShare())
    assert Sensor.objects.get(pk=1).unit == unit
    assert Measurement.objects.get().unit == unit


def test_a_type_is_changed(admin: Client, reject: Reject) -> None:
    reject(reading(3, type="<b>heat"))
    (line,) = admin.get(LOBBY).context["misfits"]
    assert "<b>heat" not in admin.get(LOBBY).content.decode()
    asked = {"remedy": "change_kind", "code": "type_mismatch", "sensor": 3, "detail": line.misfit.detail}
    assert "takes readings of type “<b>heat”" in posted(admin, do="remedy", **asked)
    posted(admin, do="remedy_confirmed", **asked)
    assert Sensor.objects.get(pk=3).kind == "<b>heat"


def test_a_remedy_that_does_not_fit_is_refused(admin: Client, reject: Reject) -> None:
    reject(reading(1, unit="C"))
    (line,) = admin.get(LOBBY).context["misfits"]
    asked = {"code": "unit_mismatch", "sensor": 1, "detail": line.misfit.detail}
    for wrong in ({"remedy": "activate"}, {"remedy": ""}, {"remedy": "change_unit", "sensor": 2}):
        html = posted(admin, **({"do": "remedy_confirmed"} | asked | wrong))
        assert "That does not wait any more." in html
    assert not Job.objects.exists()


def test_more_than_a_page_is_said(admin: Client, reject: Reject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lobby_page, "MOST", 2)
    monkeypatch.setattr(lobby_page, "MOST_BLOCKED", 1)
    reject(reading(12), reading(13), reading(14))
    BlockedSensor.objects.bulk_create(BlockedSensor(pk=pk, blocked_by="ana") for pk in (66, 67))
    html = admin.get(LOBBY).content.decode()
    assert "The newest 2; there are more." in html
    assert "The last of them; there are more." in html


def test_a_sensor_that_is_being_removed_is_no_guest(admin: Client, reject: Reject, admin_user: User) -> None:
    register(12)
    Sensor.objects.filter(pk=12).request_removal()
    reject(reading(12))
    assert not admin.get(LOBBY).context["lines"]
