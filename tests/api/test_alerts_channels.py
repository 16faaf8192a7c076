"""alerts/channels/: made, changed, tried; what is secret never comes back."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from monitoring.alerts.channels import webhook
from monitoring.models import AlertChannel, AlertRule, Delivery, Token
from tests.alerts.conftest import web
from tests.alerts.receivers import Web
from tests.api.conftest import API
from tests.api.test_reading import follow

__all__ = ["web"]

CHANNELS = API + "alerts/channels/"
SECRET = webhook.new_secret()
HOOK: dict[str, Any] = {
    "name": "hook",
    "kind": "webhook",
    "settings": {"url": "https://example.org/hook", "secret": SECRET},
}

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(db: None) -> APIClient:
    """With a token of a superuser's."""
    client = APIClient()
    token = Token.objects.create(user=User.objects.create_superuser("root"))[1]
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


def make(root: APIClient, **more: object) -> Any:
    answer = root.post(CHANNELS, HOOK | more, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_it_works(root: APIClient) -> None:
    made = make(root, group_s=30, language="fr")
    assert made.pop("created_at").endswith("Z")
    assert made == {
        "id": AlertChannel.objects.get().pk,
        "name": "hook",
        "kind": "webhook",
        "settings": {"url": "https://example.org/hook", "secret": True},
        "enabled": True,
        "group_s": 30,
        "language": "fr",
        "disabled_why": "",
        "disabled_at": None,
    }
    assert AlertChannel.objects.get().settings["secret"] == SECRET
    assert root.get(CHANNELS).json() == [root.get(f"{CHANNELS}{made['id']}/").json()]


def test_a_secret_is_in_no_answer(root: APIClient) -> None:
    made = make(root)
    path = f"{CHANNELS}{made['id']}/"
    other = webhook.new_secret()
    for answer in (
        root.post(CHANNELS, HOOK | {"name": "another"}, format="json"),
        root.post(CHANNELS, HOOK, format="json"),
        root.post(CHANNELS, HOOK | {"settings": {"url": "x", "secret": SECRET}}, format="json"),
        root.patch(path, {"settings": HOOK["settings"] | {"secret": other}}, format="json"),
        root.get(path),
        root.get(CHANNELS),
    ):
        assert not any(secret in answer.content.decode() for secret in (SECRET, other))
    assert AlertChannel.objects.get(pk=made["id"]).settings["secret"] == other


def test_a_secret_stays_where_it_is_left_out(root: APIClient) -> None:
    made = make(
        root, kind="ntfy", settings={"server": "https://ntfy.example", "topic": "a", "token": "tk_abc"}
    )
    path = f"{CHANNELS}{made['id']}/"

    def kept(settings: dict[str, object]) -> Any:
        answer = root.patch(path, {"settings": settings}, format="json")
        assert answer.status_code == 200, answer.content
        return AlertChannel.objects.get().settings

    assert kept({"server": "https://ntfy.example", "topic": "b"})["token"] == "tk_abc"
    # As it was shown.
    shown = root.get(path).json()["settings"]
    assert kept(shown | {"topic": "c"}) == {"server": "https://ntfy.example", "topic": "c", "token": "tk_abc"}
    assert kept({"server": "https://ntfy.example", "topic": "c", "token": "tk_new"})["token"] == "tk_new"
    # Whoever may not read it cannot have it sent to a server of his.
    assert kept({"server": "https://mine.example", "topic": "c"})["token"] == ""


def test_another_kind_has_nothing_of_it(root: APIClient) -> None:
    made = make(root, kind="ntfy", settings={"topic": "a", "token": "tk_abc"})
    path = f"{CHANNELS}{made['id']}/"
    moved = {"kind": "telegram", "settings": {"chat": "@somebody"}}
    assert set(root.patch(path, moved, format="json").json()["settings"]) == {"token"}
    assert set(root.patch(path, {"kind": "webhook"}, format="json").json()["settings"]) == {"url"}
    assert AlertChannel.objects.get().kind == "ntfy"


def test_it_is_switched_off_and_on(root: APIClient, now: Any) -> None:
    made = make(root)
    path = f"{CHANNELS}{made['id']}/"
    AlertChannel.objects.update(enabled=False, disabled_why="410 Gone", disabled_at=now)
    assert root.patch(path, {"name": "other"}, format="json").json()["disabled_why"] == "410 Gone"
    on = root.patch(path, {"enabled": True}, format="json").json()
    assert (on["enabled"], on["disabled_why"], on["disabled_at"]) == (True, "", None)
    assert root.patch(path, {"enabled": False}, format="json").json()["enabled"] is False


def test_it_is_deleted_and_rules_stay(root: APIClient, db: None) -> None:
    made = make(root)
    rule = AlertRule.objects.create(name="x", kind="silence")
    rule.channels.add(made["id"])
    path = f"{CHANNELS}{made['id']}/"
    assert root.delete(path).status_code == 204
    assert rule.channels.count() == 0
    for gone in (
        root.get(path),
        root.patch(path, {}, format="json"),
        root.delete(path),
        root.post(path + "test/"),
        root.get(f"{CHANNELS}{2**70}/"),
    ):
        assert (gone.status_code, gone.json()) == (404, {"detail": "There is no channel with this id."})


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ({"name": ""}, {"name"}),
        ({"name": "x" * 101}, {"name"}),
        ({"name": "taken"}, {"name"}),
        ({"kind": "pigeon"}, {"kind"}),
        ({"kind": 1}, {"kind"}),
        ({"settings": []}, {"settings"}),
        ({"settings": "x"}, {"settings"}),
        ({"settings": None}, {"settings"}),
        ({"settings": {}}, {"settings"}),
        ({"settings": {"url": "ftp://example.org"}}, {"settings"}),
        ({"settings": {"url": 1}}, {"settings"}),
        ({"settings": {"url": "https://example.org/\x00"}}, {"settings"}),
        ({"settings": {"url": "https://example.org", "secret": "short"}}, {"settings"}),
        ({"settings": {"url": "https://example.org", "sekret": SECRET}}, {"settings"}),
        ({"enabled": "perhaps"}, {"enabled"}),
        ({"group_s": -1}, {"group_s"}),
        ({"group_s": 3601}, {"group_s"}),
        ({"group_s": "soon"}, {"group_s"}),
        ({"language": "tlh"}, {"language"}),
        ({"password": "x"}, {"password"}),
        ({"disabled_why": ""}, {"disabled_why"}),
    ],
)
def test_errors_are_by_field(root: APIClient, said: dict[str, object], fields: set[str]) -> None:
    make(root, name="taken")
    made = make(root)
    before = list(AlertChannel.objects.order_by("pk").values())
    for refused in (
        root.post(CHANNELS, HOOK | {"name": "new"} | said, format="json"),
        root.patch(f"{CHANNELS}{made['id']}/", said, format="json"),
    ):
        assert refused.status_code == 400, refused.content
        assert set(refused.json()) == fields
    assert list(AlertChannel.objects.order_by("pk").values()) == before


def test_what_is_wrong_with_settings_is_said_by_setting(root: APIClient) -> None:
    refused = root.post(CHANNELS, {"name": "x", "kind": "webhook"}, format="json")
    assert refused.json() == {"settings": {"url": ["This is needed."]}}
    assert set(root.post(CHANNELS, {}, format="json").json()) == {"name", "kind"}


@pytest.mark.parametrize("body", ["[]", '"text"', "null", "3"])
def test_a_body_is_one_object(root: APIClient, body: str) -> None:
    made = make(root)
    for method, path in (("POST", CHANNELS), ("PATCH", f"{CHANNELS}{made['id']}/")):
        assert root.generic(method, path, body, content_type="application/json").status_code == 400


def test_a_test_is_sent(root: APIClient, web: Web) -> None:
    made = make(root, settings={"url": web.url, "secret": SECRET})
    receipt = root.post(f"{CHANNELS}{made['id']}/test/").json()
    assert (receipt["state"], receipt["error"]) == ("sent", "")
    assert receipt["sent_at"].endswith("Z")
    assert receipt["id"] == str(Delivery.objects.get().pk)
    refused = root.post(f"{CHANNELS}{made['id']}/test/", {"to": "me"}, format="json")
    assert (refused.status_code, set(refused.json())) == (400, {"to"})


def test_a_test_that_fails_says_why(root: APIClient, settings: Any) -> None:
    settings.ALERTS_ALLOW_PRIVATE = True
    made = make(root, settings={"url": "http://127.0.0.1:1/", "secret": SECRET})
    receipt = root.post(f"{CHANNELS}{made['id']}/test/").json()
    assert (receipt["state"], receipt["sent_at"]) == ("failed", None)
    assert receipt["error"]
    assert root.get(CHANNELS).json()[0]["enabled"] is True, "a test switches nothing off"


def test_an_address_of_our_own_is_refused(root: APIClient, settings: Any) -> None:
    settings.ALERTS_ALLOW_PRIVATE = False
    refused = root.post(CHANNELS, HOOK | {"settings": {"url": "http://127.0.0.1:6379/"}}, format="json")
    assert "ALERTS_ALLOW_PRIVATE" in refused.json()["settings"]["url"][0]


def test_pages(root: APIClient) -> None:
    made = [make(root, name=f"{n}")["id"] for n in range(5)]
    pages = follow(root, CHANNELS + "?limit=2")
    assert [[one["id"] for one in page] for page in pages] == [made[:2], made[2:4], made[4:]]
    assert root.get(CHANNELS + "?kind=email").status_code == 400


def test_they_are_for_those_who_manage(client: APIClient, sender: APIClient, user: User) -> None:
    """Not public where reading is; operators see them; a token that reads does not."""
    assert client.get(CHANNELS).status_code == 401
    assert sender.get(CHANNELS).json() == []
    reads = APIClient()
    token = Token.objects.create(user=user, scope="read")[1]
    reads.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    refused = reads.get(CHANNELS)
    assert (refused.status_code, "scope is read" in refused.json()["detail"]) == (403, True)
    refused = sender.generic("POST", CHANNELS, json.dumps(HOOK), content_type="application/json")
    assert "monitoring.add_alertchannel" in refused.json()["detail"]
    user.groups.get().permissions.add(Permission.objects.get(codename="add_alertchannel"))
    assert sender.post(CHANNELS, HOOK, format="json").status_code == 201


def test_an_address_that_is_a_key_is_shown_to_those_who_may_change_it(
    root: APIClient, sender: APIClient, user: User
) -> None:
    chat = make(root, settings={"url": "https://hooks.example:8443/services/T0/k3y?x=1", "secret": SECRET})
    phone = {"kind": "ntfy", "settings": {"server": "https://ntfy.example/k3y", "topic": "k3y"}}
    phone = make(root, name="phone", **phone)
    assert chat["settings"]["url"].endswith("/k3y?x=1")
    assert phone["settings"]["topic"] == "k3y"
    expected = [
        {"url": "https://hooks.example:8443/…", "secret": True},
        {"server": "https://ntfy.example/…", "topic": True, "token": False},
    ]
    user.groups.get().permissions.add(Permission.objects.get(codename="add_alertchannel"))
    ones = [sender.get(f"{CHANNELS}{one['id']}/").json() for one in (chat, phone)]
    for found in (sender.get(CHANNELS).json(), ones):
        assert [one["settings"] for one in found] == expected
    made = sender.post(CHANNELS, HOOK | {"name": "mine"}, format="json").json()
    assert made["settings"]["url"] == "https://example.org/…"
    user.groups.get().permissions.add(Permission.objects.get(codename="change_alertchannel"))
    assert sender.get(CHANNELS).json()[:2] == [chat, phone]
