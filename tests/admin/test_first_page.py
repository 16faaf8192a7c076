"""What the admin opens with: sensors and what waits for a person before all else, each for who may see it."""

import re
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
import unfold
from django.test import Client
from django.urls import reverse

from batches.store import BatchStore
from monitoring.models import RejectedTally, Sensor, SensorStatus
from monitoring.rollups.refresh import recompute
from monitoring.templatetags.dashboard import figure
from process.environment import PROJECT
from tests.admin.conftest import signed_in
from tests.admin.test_pages import MODELS, page, tile

INDEX = reverse("admin:index")
SENSORS = reverse("admin:monitoring_sensor_changelist")
LISTS = ("Readings", "Alerts", "Pipeline", "Access")


def main(client: Client) -> str:
    return client.get(INDEX).content.decode().partition("<main")[2]


def headings(client: Client) -> list[str]:
    return re.findall(r"<h2[^>]*>([^<]+)</h2>", main(client))


def figures(client: Client) -> dict[str, str]:
    """Of the states of sensors: the figure by what a click shows."""
    text = client.get(INDEX).content.decode()
    tiles = re.findall(rf'<a href="{SENSORS}\?status=(\w+)".*?ours-figure[^>]*>([^<]+)<', text, re.DOTALL)
    return dict(tiles)


def test_sensors_and_what_waits_come_before_the_books_and_the_lists(
    admin: Client, data: datetime, store: BatchStore
) -> None:
    first = ["Sensors", "Waits for somebody", "Books and processes"]
    assert headings(admin)[:6] == [*first, "Readings", "Alerts", "Pipeline"]


def test_a_state_says_how_many_and_leads_to_them(
    admin: Client, sensors: dict[int, Sensor], store: BatchStore
) -> None:
    SensorStatus.objects.filter(pk=1).update(status="silent")
    SensorStatus.objects.filter(pk=3).update(status="ok")
    assert figures(admin) == {"silent": "1", "late": "0", "never": "1", "ok": "1", "off": "0"}
    assert list(figures(admin))[:2] == ["silent", "late"]
    found = admin.get(SENSORS, {"status": "silent"}).context["cl"].result_list
    assert [sensor.pk for sensor in found] == [1]


def test_while_we_are_behind_it_is_said(admin: Client, sensors: dict[int, Sensor], store: BatchStore) -> None:
    text = admin.get(INDEX).content.decode()
    assert "We are behind: a bridge is away" in text
    assert "No sensor is called late for it." in text


def test_the_lobby_and_misfits_are_counted_apart(admin: Client, data: datetime, store: BatchStore) -> None:
    for code, waiting in (
        ("unknown_sensor", 4),
        ("unit_mismatch", 2),
        ("inactive_sensor", 1),
        ("bad_type", 5),
    ):
        RejectedTally.objects.create(
            code=code, hour=data.replace(minute=0, second=0, microsecond=0), waiting=waiting
        )
    assert tile(admin, "Rejected")[::2] == ("12", True)
    assert tile(admin, "Lobby")[::2] == ("4", True)
    assert tile(admin, "Misfits")[::2] == ("3", True)


@pytest.mark.parametrize(
    ("permission", "parts"),
    [
        ("view_sensor", ["Sensors"]),
        ("view_rejectedmessage", ["Waits for somebody"]),
        ("view_incident", ["Waits for somebody"]),
        ("view_ingestbatch", ["Books and processes"]),
        ("view_token", []),
    ],
)
def test_who_may_not_see_a_thing_sees_no_tile_of_it(
    client: Client, data: datetime, store: BatchStore, permission: str, parts: list[str]
) -> None:
    shown = signed_in(client, "nobody", permission)
    assert [one for one in headings(shown) if one not in LISTS] == parts
    for url in re.findall(r'href="(/admin/[^"?#]+)', main(shown)):
        assert shown.get(url).status_code == 200, url


def test_schedules_that_no_task_of_ours_goes_by_are_in_no_list(admin: Client, data: datetime) -> None:
    text = admin.get(INDEX).content.decode()
    for name in ("solarschedule", "crontabschedule", "clockedschedule"):
        assert name not in text
        assert admin.get(reverse(f"admin:django_celery_beat_{name}_add")).status_code == 200
    assert "Knox" not in text
    for name in ("periodictask", "intervalschedule"):
        assert reverse(f"admin:django_celery_beat_{name}_changelist") in text


def test_every_list_has_its_landmarks(admin: Client, data: datetime) -> None:
    pages = [INDEX, *map(page, MODELS), page(Sensor, "add"), page(Sensor, "change", 1)]
    for url in [*pages, reverse("admin:monitoring_rejectedmessage_lobby")]:
        text = admin.get(url).content.decode()
        assert len(re.findall(r"<main\b", text)) == 1, url
        assert len(re.findall(r"<h1\b", text)) == 1, url
        assert re.search(
            r'<body.*?<a class="[\w-]+" href="#content-start">To the content</a>', text, re.DOTALL
        )
        assert 'id="content-start"' in text
        assert all("aria-label" in nav for nav in re.findall(r"<nav[^>]*>", text)), url


def test_a_sensors_page_has_its_last_day_and_leads_to_the_dashboard(admin: Client, data: datetime) -> None:
    on_dashboard = f'href="{reverse("dashboard:sensor", args=[1])}"'
    text = admin.get(page(Sensor, "change", 1)).content.decode()
    assert text.count(on_dashboard) == 2, "beside the picture, and in the head"
    assert "Nothing was measured in the last 24 hours." in text
    recompute(1, data - timedelta(hours=3), data + timedelta(minutes=1))
    text = admin.get(page(Sensor, "change", 1)).content.decode()
    low, high = figure(0.0), figure(117 / 7)
    assert f"The curve with the band that the values lay in, between {low} and {high} °C" in text
    assert re.search(r'<path class="line" d="M[\d. L]+"/>', text)
    assert f'data-page="{reverse("dashboard:sensor", args=[1])}"' in text
    assert "status=" not in admin.get(page(Sensor, "add")).content.decode()
    assert admin.get(page(Sensor, "change", 77)).status_code == 302


def test_unfold_is_the_one_whose_templates_we_have_changed() -> None:
    """Another version: compare config/templates with its own, and see what keys reach (tests/browser)."""
    assert version("django-unfold") == "0.91.0"
    folder = Path(unfold.__file__).parent / "templates"
    ours = PROJECT / "config" / "templates"
    for template in [*ours.glob("admin/*.html"), *ours.glob("unfold/**/*.html")]:
        assert (folder / template.relative_to(ours)).exists(), (
            f"nothing of unfold's is replaced by {template}"
        )
