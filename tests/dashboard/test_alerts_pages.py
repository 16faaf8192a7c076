"""The pages of alerts: what fires, who may do what about it, and what they cost."""

import re
from collections.abc import Callable
from copy import copy
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from monitoring.dashboard.alerts.incidents import rule_rows
from monitoring.dashboard.alerts.urls import urlpatterns
from monitoring.models import AlertChannel, AlertRule, Incident, Mute, Sensor
from monitoring.roles import make_groups
from tests.plans import plan

pytestmark = pytest.mark.django_db

ALERTS = "/alerts/"
Fire = Callable[..., Incident]


@pytest.fixture(autouse=True)
def public(settings: Any) -> None:
    settings.API_PUBLIC_READ = True


@pytest.fixture
def rule(sensors: dict[int, Sensor]) -> AlertRule:
    return AlertRule.objects.create(name="Too <warm>", kind="above", high=25, severity="warning")


@pytest.fixture
def fire(rule: AlertRule, noon: datetime) -> Fire:
    """fire(minutes, sensor=, lasts=): an incident that began so long after noon."""

    def fire(minutes: int = 0, sensor: int | None = 1, lasts: bool = True, **more: Any) -> Incident:
        since = noon + timedelta(minutes=minutes)
        its = more.get("rule", rule)
        said = {
            "rule": its,
            "title": its.name,
            "kind": its.kind,
            "severity": its.severity,
            "sensor_id": sensor,
            "subject": f"sensor:{sensor}",
            "state": "firing" if lasts else "resolved",
            "since": since,
            "fired_at": since,
            "resolved_at": None if lasts else since + timedelta(minutes=5),
            "end": "" if lasts else "clear",
            "seen_at": since,
        }
        return Incident.objects.create(**said | more)

    return fire


def member(django_user_model: Any, *groups: str) -> Client:
    make_groups()
    user = django_user_model.objects.create_user("-".join(groups) or "nobody")
    user.groups.set(Group.objects.filter(name__in=groups))
    client = Client()
    client.force_login(user)
    return client


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return str(answer.content.decode())


def test_it_works(fire: Fire) -> None:
    fire(value=25.5, peak=27.25)
    text = text_of(Client().get(ALERTS))
    assert escape("Too <warm>") in text
    assert "Capteur Temp Salon" in text
    for said in ("25.5\u00a0°C", "27.25\u00a0°C", "Nobody has acknowledged it."):
        assert said in text
    assert not re.search(
        r"\sstyle=|\son\w+=|<script(?![^>]*(\bsrc=|application/json))|(src|href)=\"(https?:)?//", text
    )


def test_where_there_is_nothing_it_says_what_to_do(admin_client: Client, db: None) -> None:
    AlertRule.objects.all().delete()
    for client, is_manager in ((Client(), False), (admin_client, True)):
        text = text_of(client.get(ALERTS))
        assert "Nothing fires." in text
        assert "no rule yet" in text
        assert ("/alerts/rules/new/?kind=silence" in text) is is_manager
    for path in ("rules/", "silences/", "channels/"):
        assert 'class="card empty"' in text_of(admin_client.get(ALERTS + path))


def test_the_worst_come_first_then_the_newest(fire: Fire) -> None:
    bad = AlertRule.objects.create(name="Bad", kind="below", low=0, severity="critical")
    mild = AlertRule.objects.create(name="Mild", kind="stuck", window_s=60, severity="info")
    found = [
        fire(5, rule=mild),
        fire(0, sensor=2),
        fire(1, sensor=3),
        fire(2, rule=bad, sensor=2),
    ]
    text = text_of(Client().get(ALERTS))
    shown = [int(one) for one in re.findall(r'id="incident-(\d+)"', text)]
    assert shown == [found[3].pk, found[2].pk, found[1].pk, found[0].pk]


def test_an_outbreak_names_its_sensors_and_counts_once(fire: Fire) -> None:
    whole = fire(sensor=None, subject="location:Hall")
    for number in (1, 2, 3):
        fire(sensor=number, part_of=whole)
    text = text_of(Client().get(ALERTS))
    assert re.findall(r'id="incident-(\d+)"', text) == [str(whole.pk)]
    assert "Place Hall" in text
    for name in ("Capteur Temp Salon", "Capteur Humidité Salon", "Capteur Lumière Salon"):
        assert name in text
    assert Client().get("/alerts/count/").json() == {"open": 1}
    assert "It names 3 sensors" in text_of(Client().get(f"/alerts/incidents/{whole.pk}/"))
    # A part whose incident fires no longer stands by itself.
    Incident.objects.filter(pk=whole.pk).update(state="resolved", resolved_at=whole.since)
    assert len(re.findall(r'id="incident-(\d+)"', text_of(Client().get(ALERTS)))) == 3


def test_the_navigation_says_how_many_are_open(fire: Fire) -> None:
    badge = r'data-open-incidents="/alerts/count/"( hidden)?><b class="figure">(\d*)<'
    for path in (ALERTS, "/sensors/1/"):
        assert re.findall(badge, text_of(Client().get(path))) == [(" hidden", "0")]
    fire()
    for path in (ALERTS, "/sensors/1/"):
        assert re.findall(badge, text_of(Client().get(path))) == [("", "1")]
    # A page that would have to count for it alone leaves that to its script.
    assert re.findall(badge, text_of(Client().get("/map/"))) == [(" hidden", "")]
    assert Client().get("/alerts/count/").json() == {"open": 1}


def test_somebody_sees_to_it(admin_client: Client, fire: Fire) -> None:
    found = fire()
    path = f"/alerts/incidents/{found.pk}/acknowledge/"
    answer = admin_client.post(
        path, {"comment": " On my <way>\x00 ", "next": f"/alerts/incidents/{found.pk}/"}
    )
    assert answer.headers["Location"] == f"/alerts/incidents/{found.pk}/"
    found.refresh_from_db()
    assert (found.comment, found.acknowledged_by and found.acknowledged_by.username) == (
        "On my <way>",
        "admin",
    )
    text = text_of(admin_client.get(ALERTS))
    assert escape("On my <way>") in text
    assert 'class="acknowledge"' not in text
    # Who reads only because reading is public learns that it is, and not by whom nor what they wrote.
    for page in (ALERTS, f"/alerts/incidents/{found.pk}/"):
        text = text_of(Client().get(page))
        assert "acknowledged" in text
        assert "On my" not in text
        assert "admin," not in text


def test_nobody_is_led_away(admin_client: Client, fire: Fire) -> None:
    path = f"/alerts/incidents/{fire().pk}/acknowledge/"
    assert admin_client.post(path, {"next": "https://evil.example/"}).headers["Location"] == ALERTS


def test_a_form_of_another_site_changes_nothing(admin_user: Any, fire: Fire) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin_user)
    found = fire()
    assert strict.post(f"/alerts/incidents/{found.pk}/acknowledge/").status_code == 403
    found.refresh_from_db()
    assert found.acknowledged_at is None


def test_the_history_is_found_by_rule_sensor_and_day(fire: Fire, noon: datetime, settings: Any) -> None:
    settings.TIME_ZONE = "UTC"
    other = AlertRule.objects.create(name="Other", kind="below", low=0)
    found = [
        fire(0, lasts=False),
        fire(10, lasts=False, sensor=2),
        fire(-1440, lasts=False, rule=other),
    ]

    def shown(query: str) -> list[int]:
        text = text_of(Client().get(ALERTS + query))
        past = text[text.index('id="past"') :]
        return [int(one) for one in re.findall(r'href="/alerts/incidents/(\d+)/"', past)]

    ids = [one.pk for one in found]
    assert shown("") == [ids[1], ids[0], ids[2]]
    assert shown(f"?rule={other.pk}") == [ids[2]]
    assert shown("?sensor=1") == [ids[0], ids[2]]
    assert shown("?sensor=humid") == [ids[1]]
    assert shown(f"?from={noon:%Y-%m-%d}") == [ids[1], ids[0]]
    assert shown(f"?to={noon - timedelta(days=1):%Y-%m-%d}") == [ids[2]]
    assert shown("?sensor=nobody") == []


def test_the_history_goes_on_by_where_it_ended(fire: Fire) -> None:
    ids = [fire(minute, lasts=False).pk for minute in range(35)]
    seen: list[int] = []
    url = ALERTS
    while url:
        text = text_of(Client().get(url))
        past = text[text.index('id="past"') :]
        seen += [int(one) for one in re.findall(r'href="/alerts/incidents/(\d+)/"', past)]
        older = re.findall(r'rel="next" href="([^"]+)#past"', past)
        url = older[0] if older else ""
        # What comes meanwhile shifts nothing.
        fire(100 + len(seen), lasts=False)
    assert seen == sorted(ids, reverse=True)


@pytest.mark.parametrize(
    "query", ["rule=x", "from=yesterday", "from=2026-02-30", "to=0001-01-01", "before=%2B"]
)
def test_what_cannot_be_read_of_the_address_is_said(query: str, fire: Fire) -> None:
    page = Client().get(f"{ALERTS}?{query}")
    assert page.status_code == 400
    assert 'role="alert"' in page.content.decode()


def test_what_never_was_is_in_no_list_but_has_its_page(fire: Fire) -> None:
    found = fire(state="withdrawn", end="late", resolved_at=datetime.now().astimezone())
    assert f"/incidents/{found.pk}/" not in text_of(Client().get(ALERTS))
    assert "It never was" in text_of(Client().get(f"/alerts/incidents/{found.pk}/"))


def test_no_incident_and_no_rule_are_404(admin_client: Client) -> None:
    for number in (4, 2**63, 10**30):
        assert admin_client.get(f"/alerts/incidents/{number}/").status_code == 404
        assert admin_client.get(f"/alerts/rules/{number}/").status_code == 404
        assert admin_client.get(f"/alerts/channels/{number}/").status_code == 404
        assert admin_client.post(f"/alerts/incidents/{number}/acknowledge/").status_code == 404
        assert admin_client.post(f"/alerts/silences/{number}/end/").status_code == 404


@pytest.mark.parametrize("who", ["public", "admin"])
def test_a_page_takes_six_queries_at_most(
    who: str, admin_client: Client, fire: Fire, rule: AlertRule, django_assert_max_num_queries: Any
) -> None:
    client = Client() if who == "public" else admin_client
    whole = fire(sensor=None, subject="board:kitchen")
    for number in (1, 2, 3):
        fire(sensor=number, part_of=whole)
        fire(10 * number, sensor=number, lasts=False)
    Mute.objects.create(starts_at=whole.since, rule=rule)
    paths = [
        ALERTS,
        ALERTS + "?sensor=1",
        "/alerts/rules/",
        f"/alerts/rules/{rule.pk}/",
        "/sensors/1/",
        "/map/",
    ]
    paths += ["/alerts/silences/", "/alerts/channels/"] if who == "admin" else []
    paths.remove(f"/alerts/rules/{rule.pk}/")
    for path in paths:
        with django_assert_max_num_queries(6):
            assert client.get(path).status_code == 200


READ = {"", "count/", "incidents/<int:incident_id>/", "rules/", "rules/<int:rule_id>/"}
# An operator may, but for what has secrets.
OPERATOR = {"silences/", "silences/new/", "rules/new/", "rules/<int:rule_id>/delete/", "channels/"}
ADMIN = {"channels/new/", "channels/<int:channel_id>/", "channels/<int:channel_id>/delete/"}
POSTED = {str(entry.pattern) for entry in urlpatterns} - READ - OPERATOR - ADMIN


def test_who_may_see_and_do_what(
    settings: Any, django_user_model: Any, admin_client: Client, fire: Fire, rule: AlertRule, noon: datetime
) -> None:
    """Taken from the routes themselves, so that a new one is not forgotten."""
    ids = {
        "incident_id": fire().pk,
        "rule_id": rule.pk,
        "silence_id": Mute.objects.create(starts_at=noon).pk,
        "channel_id": AlertChannel.objects.create(name="Hook", kind="webhook", settings={}).pk,
    }

    def path(route: str) -> str:
        return ALERTS + re.sub(r"<int:(\w+)>", lambda found: str(ids[found[1]]), route)

    clients = [Client(), member(django_user_model, "no such"), member(django_user_model, "viewer")]
    clients += [member(django_user_model, "operator"), admin_client]
    expected = {"read": (302, 403, 200, 200, 200), "public": (200, 200, 200, 200, 200)}
    for is_public in (False, True):
        settings.API_PUBLIC_READ = is_public
        for route in sorted(READ):
            seen = tuple(client.get(path(route)).status_code for client in clients)
            assert seen == expected["public" if is_public else "read"], route
        # What is never public.
        for route in sorted(OPERATOR):
            seen = tuple(client.get(path(route)).status_code for client in clients)
            viewer = 200 if route == "silences/" else 403
            assert seen == (302, 403, viewer, 200, 200), route
        for route in sorted(ADMIN):
            seen = tuple(client.get(path(route)).status_code for client in clients)
            assert seen == (302, 403, 403, 403, 200), route
        for route in sorted(POSTED):
            assert [client.get(path(route)).status_code for client in clients] == [405] * 5
            strangers = [client.post(path(route)).status_code for client in clients[:3]]
            assert strangers == [302, 403, 403], route
    # Each that reads sees no way to change anything.
    for client in clients[:3]:
        text = text_of(client.get(ALERTS)) + text_of(client.get(path("rules/")))
        assert "/rules/new/" not in text
        assert "acknowledge/" not in text
        assert "/switch/" not in text
        assert client.post(path("rules/<int:rule_id>/"), {}).status_code == 403


def test_when_a_rule_fired_last_is_read_from_an_index(fire: Fire) -> None:
    """Not from all incidents that there ever were."""
    found = [fire(minutes, lasts=False) for minutes in (5, 9, 1)]
    others = [AlertRule(name=f"Warmer {number}", kind="above", high=25) for number in range(20)]
    AlertRule.objects.bulk_create(others)
    for rule in others:
        one = fire(2, lasts=False, rule=rule)
        copies = [copy(one) for _ in range(30)]
        for minutes, later in enumerate(copies, 10):
            later.pk, later.since = None, one.since + timedelta(minutes=minutes)
        Incident.objects.bulk_create(copies)
    with CaptureQueriesContext(connection) as queries:
        rows = rule_rows(12, {})
    assert [one.last for one in rows if one.rule.name == "Too <warm>"] == [found[1].fired_at]
    (asked,) = (query["sql"] for query in queries)
    planned = plan(asked, without=("seqscan", "bitmapscan", "sort"))
    assert re.search(r"Limit.*\n.*Scan using incident_of_rule on monitoring_incident", planned), planned
