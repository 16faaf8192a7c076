"""Every page of the admin opens, for those who may see it."""

import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, PeriodicTask

from batches.batch import Batch, Message, time_ordered_id
from batches.store import BatchStore, Receipt
from monitoring import books
from monitoring.models import Measurement, RejectedMessage, Sensor, Token
from process import heartbeat

MODELS = sorted(django_admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture(autouse=True)
def ids_from_four(db: None) -> Iterator[None]:
    """A sequence is not rolled back with a test's transaction, and other tests look at what comes next."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('monitoring_sensor_id_seq', 3)")


def page(model: type, name: str = "changelist", *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)  # type: ignore[attr-defined]


def test_it_works(admin: Client, data: datetime) -> None:
    for url, seen in (
        (reverse("admin:index"), "Sensors"),
        (page(Sensor), "Capteur Lumière Salon"),
        (page(Measurement), "Capteur Humidité Salon"),
        (page(RejectedMessage), "not_utf8"),
        (page(PeriodicTask), "resend overdue batches"),
    ):
        assert seen in admin.get(url).content.decode()


def test_every_page_opens(admin: Client, data: datetime) -> None:
    Group.objects.create(name="readers")
    Token.objects.create(User.objects.get())
    CrontabSchedule.objects.create()
    ClockedSchedule.objects.create(clocked_time=data)
    for model in MODELS:
        request = admin.get(page(model))
        assert request.status_code == 200, model
        admin_page = django_admin.site._registry[model]
        row = model._default_manager.first()
        if row is not None and admin_page.list_display_links is not None:
            assert admin.get(page(model, "change", row.pk)).status_code == 200, model
        add = 200 if admin_page.has_add_permission(request.wsgi_request) else 403
        assert admin.get(page(model, "add")).status_code == add, model


def test_nothing_is_shown_to_strangers(client: Client, data: datetime) -> None:
    for url in [reverse("admin:index"), *map(page, MODELS)]:
        answer = client.get(url)
        assert answer.status_code == 302
        assert "/login/" in answer["Location"]


def test_it_works_while_redis_is_away(admin: Client, data: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    from monitoring.admin import overview

    monkeypatch.setattr(overview, "glance", lambda: BatchStore.at("redis://127.0.0.1:1/0", 1))
    assert "Redis does not answer" in admin.get(reverse("admin:index")).content.decode()


def tile(admin: Client, title: str) -> tuple[str, str, bool]:
    """Figure and note of a tile of the first page, and whether it is red."""
    html = admin.get(reverse("admin:index")).content.decode()
    found = re.search(rf">{title}</div>\s*<div([^>]*)>(.*?)</div>\s*<div[^>]*>(.*?)</div>", html)
    assert found
    return found[2], found[3], "ours-alarm" in found[1]


def test_the_overview_says_what_is_missing(
    admin: Client, data: datetime, store: BatchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tile(admin, "Missing") == ("3", "in the ledger, not counted by Redis", True)
    store.redis.hincrby("iot:books", "handed_over", 3)
    assert tile(admin, "Missing") == ("0", "every message is accounted for", False)
    store.redis.hincrby("iot:books", "handed_over", 1432)
    assert tile(admin, "Missing") == ("1,432", "handed over, not in the ledger", True)
    store.hand_over(Batch(time_ordered_id(), "http", [Message(1, "", b"{}")]), Receipt("one", "", 60))
    assert tile(admin, "Missing") == ("1,432", "handed over, not in the ledger", True)  # one more is pending
    with monkeypatch.context() as patch:
        patch.setattr(books, "MOST_PENDING", 0)
        assert tile(admin, "Missing") == ("…", "too much is pending to say", False)


def test_the_overview_is_alarmed_by_what_has_waited_for_a_minute(
    admin: Client, data: datetime, store: BatchStore
) -> None:
    assert tile(admin, "Pending") == ("0", "messages; all is stored", False)
    batch = Batch(time_ordered_id(), "http", [Message(1, "", b"{}")])
    store.hand_over(batch, Receipt("one", "", 60))
    for seconds, alarm in ((40, False), (80, True)):
        store.redis.zadd("iot:batches:since", {str(batch.id): time.time() - seconds})
        figure, note, red = tile(admin, "Pending")
        assert (figure, red) == ("1", alarm)
        assert note.startswith("the oldest for ")


def test_the_overview_names_who_is_silent(admin: Client, data: datetime, store: BatchStore) -> None:
    for process in ("bridge@hall", "bridge@plant", "worker", "upkeep", "beat", "web"):
        heartbeat.beat(store.redis, process)
    everybody = "worker, upkeep, beat, web, bridge@hall, bridge@plant"
    assert tile(admin, "Processes") == ("6/6", everybody, False)
    store.redis.delete("iot:heartbeat:bridge@plant", "iot:heartbeat:upkeep")  # as their time runs out
    assert tile(admin, "Processes") == ("4/6", "silent: upkeep, bridge@plant", True)


def test_no_page_asks_another_host(admin: Client, data: datetime) -> None:
    for url in [reverse("admin:index"), *map(page, MODELS)]:
        html = admin.get(url).content.decode()
        assert not re.findall(r'(?:src|href|action)="(?:https?:)?//[^"]+"', html), url


def test_a_sensor_is_edited_but_not_renumbered(admin: Client, data: datetime) -> None:
    form = {"id": 77, "name": "Salon", "kind": "light", "unit": "V", "location": "", "is_active": "on"}
    assert admin.post(page(Sensor, "change", 3), form).status_code == 302
    assert Sensor.objects.get(pk=3).name == "Salon"
    assert not Sensor.objects.filter(pk=77).exists()
    assert Sensor.objects.get(pk=3).is_active
    assert admin.post(page(Sensor), {"action": "deactivate", "_selected_action": [1, 2]}).status_code == 302
    assert list(Sensor.objects.filter(is_active=True)) == [Sensor.objects.get(pk=3)]


def test_a_sensor_is_added_under_an_id_of_choice(admin: Client, data: datetime) -> None:
    form = {"name": "Serre", "is_active": "on"}
    for chosen, number in (("70", 70), ("", 71)):
        answer = admin.post(page(Sensor, "add"), form | {"id": chosen}, follow=True)
        assert f"Its id is {number}: messages name it as `sensor_id`." in answer.content.decode()
        assert Sensor.objects.get(pk=number).name == "Serre"
    Sensor.objects.filter(pk=2).request_removal()
    for taken in ("70", "2"):
        answer = admin.post(page(Sensor, "add"), form | {"id": taken, "name": "another"})
        assert "There is a sensor with this id, or one is being removed." in answer.content.decode()
    for wrong in ("0", "-1", str(2**63), "x"):
        assert admin.post(page(Sensor, "add"), form | {"id": wrong}).context["errors"]
    assert Sensor.objects.count() == 5
    assert not Sensor.objects.filter(name="another").exists()


def test_an_id_that_is_taken_meanwhile_overwrites_nobody(
    admin: Client, data: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Sensor.save

    def after_another(sensor: Sensor, **how: Any) -> None:
        Sensor.objects.bulk_create([Sensor(id=sensor.pk, name="another")])
        save(sensor, **how)

    monkeypatch.setattr(Sensor, "save", after_another)
    answer = admin.post(page(Sensor, "add"), {"name": "Serre", "id": "70", "is_active": "on"}, follow=True)
    assert "There is a sensor with this id" in answer.content.decode()
    assert not Sensor.objects.filter(name="Serre").exists()


def test_sensors_are_found_by_name_and_by_id(admin: Client, data: datetime) -> None:
    for query, found in (("lumière", [3]), ("2", [2]), ("nobody", [])):
        assert [s.pk for s in admin.get(page(Sensor), {"q": query}).context["cl"].result_list] == found
    assert [s.pk for s in admin.get(page(Sensor), {"kind": "light"}).context["cl"].result_list] == [3]


def test_a_hostile_payload_is_shown_and_does_nothing(admin: Client, data: datetime) -> None:
    for message in RejectedMessage.objects.all():
        html = admin.get(page(RejectedMessage, "change", message.pk)).content.decode()
        assert "<script>alert" not in html
        assert "<b>" not in html
        assert "<i>x" not in html
    hostile = admin.get(
        page(RejectedMessage, "change", RejectedMessage.objects.get(code="bad_type").pk)
    ).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x00\\u202e" in hostile
    assert "<script>alert" not in admin.get(page(RejectedMessage)).content.decode()
    binary = admin.get(
        page(RejectedMessage, "change", RejectedMessage.objects.get(code="not_utf8").pk)
    ).content.decode()
    assert "ff fe 3c 62 3e" in binary
    assert "<mark>\\xff</mark>\\xfe&lt;b&gt;" in binary


def test_past_the_cap_is_said(admin: Client, data: datetime) -> None:
    html = admin.get(reverse("admin:monitoring_rejectedtally_changelist")).content.decode()
    assert "30 only counted" in html
    assert "of 64.0\xa0MB" in html


def test_rejected_are_filtered_by_code(admin: Client, data: datetime) -> None:
    rows = admin.get(page(RejectedMessage), {"code": "not_utf8"}).context["cl"].result_list
    assert [row.code for row in rows] == ["not_utf8"]
