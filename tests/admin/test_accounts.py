"""Tokens are made in the admin, shown once, revoked; what a person may do there, their groups say."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from monitoring.models import Token

pytestmark = pytest.mark.django_db

ADD = reverse("admin:monitoring_token_add")
LIST = reverse("admin:monitoring_token_changelist")
VIEWER = {
    *("monitoring.alertrule", "monitoring.board", "monitoring.correction", "monitoring.deletion"),
    *("monitoring.incident", "monitoring.ingestbatch", "monitoring.job", "monitoring.measurement"),
    *("monitoring.mute", "monitoring.rejectedmessage", "monitoring.rejectedtally"),
    *("monitoring.retentionrun", "monitoring.sensor"),
}
# What each may see, and what each may add.
OPERATOR = VIEWER | {"monitoring.token", "monitoring.alertchannel", "monitoring.delivery"}
SEEN = {"nobody's": set(), "viewer": VIEWER, "operator": OPERATOR}
ADDED = {
    "nobody's": set(),
    "viewer": set(),
    "operator": {
        *("monitoring.alertrule", "monitoring.deletion", "monitoring.mute", "monitoring.sensor"),
        "monitoring.token",
    },
}


def staff(group: str) -> User:
    user = User.objects.create_user(group, is_staff=True)
    user.groups.set(Group.objects.filter(name=group))
    return user


def form(user: User, **more: Any) -> dict[str, Any]:
    return {"user": user.pk, "scope": "read", "name": "wall", "expiry_0": "", "expiry_1": "", **more}


def reads(token: str, scheme: str = "Bearer") -> int:
    client = APIClient(HTTP_AUTHORIZATION=f"{scheme} {token}")
    return int(client.get("/api/monitoring/sensors/").status_code)


def test_it_works(admin: Client, settings: Any) -> None:
    settings.API_PUBLIC_READ = False
    made = admin.post(ADD, form(User.objects.get()))
    assert made.status_code == 200
    assert "no-store" in made["Cache-Control"]
    (token,) = re.findall(r'<code id="token"[^>]*>([0-9a-f]{64})</code>', made.content.decode())
    assert (reads(token), reads(token, "Token")) == (200, 200)

    listed = admin.get(LIST).content.decode()
    assert token[:8] in listed
    assert "wall" in listed
    assert token[:16] not in listed, "it is shown once"
    row = Token.objects.get()
    assert (row.scope, row.expiry) == ("read", None)

    assert (
        admin.post(reverse("admin:monitoring_token_delete", args=[row.pk]), {"post": "yes"}).status_code
        == 302
    )
    assert reads(token) == 401


@pytest.mark.parametrize(
    ("more", "seen"),
    [
        ({"expiry_0": "2020-01-01", "expiry_1": "00:00"}, "This moment is past."),
        ({"scope": "all"}, "Select a valid choice."),
        ({"name": "x" * 101}, "at most 100 characters"),
    ],
)
def test_what_is_wrong_is_said(admin: Client, more: dict[str, str], seen: str) -> None:
    answer = admin.post(ADD, form(User.objects.get(), **more))
    assert seen in answer.content.decode()
    assert not Token.objects.exists()


def test_a_token_for_sending_is_for_those_who_may_send(admin: Client) -> None:
    vera = staff("viewer")
    answer = admin.post(ADD, form(vera, scope="send")).content.decode()
    assert "viewer may not send measurements" in answer
    assert not Token.objects.exists()
    vera.groups.set(Group.objects.filter(name="operator"))
    assert "shown this once" in admin.post(ADD, form(vera, scope="send")).content.decode()


def test_a_token_that_has_expired_is_seen_as_such(admin: Client) -> None:
    Token.objects.create(User.objects.get(), expiry=timedelta(seconds=-1))
    assert "(expired)" in admin.get(LIST).content.decode()


def test_an_operator_has_their_own_tokens_and_nobody_elses(client: Client) -> None:
    root, olga = User.objects.create_superuser("root"), staff("operator")
    others, _ = Token.objects.create(root)
    client.force_login(olga)
    assert others.begins_with not in client.get(LIST).content.decode()
    client.post(reverse("admin:monitoring_token_delete", args=[others.pk]), {"post": "yes"})
    client.post(LIST, {"action": "delete_selected", "_selected_action": others.pk, "post": "yes"})
    assert Token.objects.filter(pk=others.pk).exists()

    assert "Select a valid choice" in client.post(ADD, form(root)).content.decode()
    assert not Token.objects.filter(user=root).exclude(pk=others.pk).exists(), (
        "it would make them a superuser"
    )
    assert "shown this once" in client.post(ADD, form(olga)).content.decode()
    mine = Token.objects.get(user=olga)
    assert mine.begins_with in client.get(LIST).content.decode()


@pytest.mark.parametrize("group", SEEN)
def test_a_group_decides_in_the_admin_too(group: str, client: Client, data: datetime) -> None:
    client.force_login(staff(group))
    models = {model._meta.label_lower for model in django_admin.site._registry}

    def let_in(page: str) -> set[str]:
        path = {model: reverse(f"admin:{model.replace('.', '_')}_{page}") for model in models}
        answers = {model: client.get(path[model]).status_code for model in models}
        assert set(answers.values()) <= {200, 403}
        return {model for model in models if answers[model] == 200}

    assert (let_in("changelist"), let_in("add")) == (SEEN[group], ADDED[group])
    assert client.get(reverse("admin:index")).status_code == 200


def test_a_viewer_changes_no_sensor(client: Client, data: datetime) -> None:
    client.force_login(staff("viewer"))
    for page in ("change", "delete"):
        path = reverse(f"admin:monitoring_sensor_{page}", args=[1])
        assert client.post(path, {"name": "x", "post": "yes"}).status_code == 403


def test_nobody_gets_in_who_is_no_staff_or_shows_a_token(client: Client) -> None:
    user = staff("operator")
    token = Token.objects.create(user, expiry=timedelta(days=1))[1]
    assert client.get(LIST, HTTP_AUTHORIZATION=f"Token {token}").status_code == 302
    User.objects.filter(pk=user.pk).update(is_staff=False)
    client.force_login(user)
    assert client.get(LIST).status_code == 302
    assert Token.objects.get().expiry > timezone.now()
