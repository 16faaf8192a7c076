"""What surrounds every page: who may see it, and the viewer's choices."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from monitoring.dashboard.urls import urlpatterns
from monitoring.models import Sensor
from monitoring.roles import make_groups

pytestmark = pytest.mark.django_db

PREFERENCES = "/preferences/"


def test_a_page_is_public_where_reading_is_and_else_behind_a_login(
    settings: Any, admin_client: Client
) -> None:
    settings.API_PUBLIC_READ = True
    assert Client().get("/").status_code == 200
    settings.API_PUBLIC_READ = False
    sent = Client().get("/?status=silent")
    assert (sent.status_code, sent.headers["Location"]) == (302, "/login/?next=/%3Fstatus%3Dsilent")
    assert admin_client.get("/").status_code == 200


# For whoever is not signed in, too.
FOR_ALL = {"login/", "logout/", "preferences/"}
PAGES = sorted({str(entry.pattern) for entry in urlpatterns} - FOR_ALL)


@pytest.mark.parametrize("route", PAGES)
def test_who_may_see_a_page(settings: Any, django_user_model: Any, route: str) -> None:
    """Taken from the routes themselves, so that a new one is not forgotten."""
    settings.API_PUBLIC_READ = False
    make_groups()
    sensor = Sensor.objects.create(name="North")
    path = "/" + route.replace("<int:sensor_id>", str(sensor.pk)) + ("?ids=1" if route == "live/" else "")

    def status(*groups: str) -> int:
        client = Client()
        if groups:
            user = django_user_model.objects.create_user("-".join(groups))
            user.groups.set(Group.objects.filter(name__in=groups))
            client.force_login(user)
        return client.get(path).status_code

    # A stream is for a script, which follows no redirect; and it wants the real server (503).
    assert status() == (401 if route == "live/" else 302)
    assert status("no such group") == 403
    assert status("viewer") == (503 if route == "live/" else 200)


def test_the_login_leads_back(settings: Any, django_user_model: Any) -> None:
    settings.API_PUBLIC_READ = False
    django_user_model.objects.create_superuser("chief", password="a good one")
    client = Client()
    page = client.post("/login/", {"username": "chief", "password": "wrong", "next": "/?q=hall"})
    assert page.status_code == 200
    assert "errorlist" in page.content.decode()
    done = client.post("/login/", {"username": "chief", "password": "a good one", "next": "/?q=hall"})
    assert done.headers["Location"] == "/?q=hall"
    assert client.post("/logout/").headers["Location"] == "/"
    assert client.get("/").status_code == 302


def test_nothing_foreign_and_nothing_inline_may_be_loaded(settings: Any) -> None:
    settings.API_PUBLIC_READ = True
    for path in ("/", "/login/", PREFERENCES):
        page = Client().get(path)
        assert page.headers["Content-Security-Policy"].startswith("default-src 'self';")
        text = page.content.decode()
        assert not re.search(
            r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|(src|href)=\"(https?:)?//", text
        )


def test_language_zone_and_theme_are_chosen(settings: Any) -> None:
    settings.API_PUBLIC_READ = True
    client = Client()
    chosen = {"language": "fr", "zone": "Asia/Kathmandu", "theme": "dark", "next": "/?q=x"}
    assert client.post(PREFERENCES, chosen).headers["Location"] == "/?q=x"
    page = client.get("/").content.decode()
    assert '<html lang="fr" data-theme="dark" data-zone="Asia/Kathmandu">' in page
    assert "zone.js" not in page
    # One field alone leaves the others.
    client.post(PREFERENCES, {"theme": "light"})
    assert 'data-theme="light" data-zone="Asia/Kathmandu"' in client.get("/").content.decode()
    client.post(PREFERENCES, {"zone": "auto:"})
    assert "zone.js" in client.get("/").content.decode()


def test_what_a_browser_says_of_its_zone_is_taken_until_a_person_chooses(settings: Any) -> None:
    settings.API_PUBLIC_READ = True
    client = Client()
    client.cookies["zone"] = "auto:Pacific/Chatham"
    page = client.get("/").content.decode()
    assert 'data-zone="Pacific/Chatham"' in page
    assert "zone.js" in page


@pytest.mark.parametrize("said", ["../../etc/passwd", "auto:", "Mars/Olympus", 5000 * "x", "\x00"])
def test_a_cookie_that_is_no_zone_is_none(settings: Any, said: str) -> None:
    settings.API_PUBLIC_READ, settings.TIME_ZONE = True, "Europe/Paris"
    client = Client()
    client.cookies["zone"] = said
    assert 'data-zone="Europe/Paris"' in client.get("/").content.decode()


@pytest.mark.parametrize("field", ["language", "zone", "theme"])
def test_what_is_no_choice_is_refused(settings: Any, field: str) -> None:
    settings.API_PUBLIC_READ = True
    client = Client()
    answer = client.post(PREFERENCES, {field: "nonsense"})
    assert answer.status_code == 400
    assert "errorlist" in answer.content.decode()
    assert not {"django_language", "zone", "theme"} & set(client.cookies)


@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_nobody_is_led_away(url: str) -> None:
    for path in (PREFERENCES, "/login/"):
        client = Client()
        assert client.post(path, {"theme": "dark", "next": url}).headers.get("Location", "/") == "/"
