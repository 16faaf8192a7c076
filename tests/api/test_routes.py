"""Who gets what: every route of the resolver, every method, as everybody; in the admin, every table.

A route, or a method, that this table does not know fails: whoever adds one writes down here what it answers.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from batches.store import BatchStore
from monitoring.dashboard import urls as dashboard
from monitoring.models import Sensor, Token
from monitoring.roles import make_groups


def walk(entries: Iterable[Any], prefix: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """(route, view) of the entries and of what they include."""
    for entry in entries:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from walk(entry.url_patterns, route)
        elif isinstance(entry, URLPattern):
            yield route, entry.callback


# Each may do what those before it may.
EVERYBODY = {
    *("nobody", "no rights", "viewer", "operator", "superuser", "disabled", "expired", "unknown"),
    *("viewer: send", "operator: send", "operator: read", "superuser: send", "superuser: read"),
}
BAD = {"disabled", "expired", "unknown"}
SIGNED_IN = EVERYBODY - BAD - {"nobody"}
READ = {"viewer", "operator", "superuser", "operator: read", "superuser: read"}
MANAGE = {"operator", "superuser"}
SUPER = {"superuser"}
SEND = MANAGE | {"operator: send", "superuser: send"}
DOCUMENTED = SIGNED_IN - {name for name in SIGNED_IN if name.endswith(": send")}

API, AUTH = "api/monitoring/", "api/auth/"
# route: {method: who is let in}. What is let in may still answer 400 or 404: never 401, 403.
TABLE: dict[str, dict[str, set[str]]] = {
    API + "sensors/": {"GET": READ, "POST": MANAGE, "PATCH": MANAGE},
    API + "sensors/<int:sensor_id>/": {"GET": READ, "PATCH": MANAGE, "DELETE": MANAGE},
    API + "boards/": {"GET": READ},
    API + "measurements/": {"GET": READ, "POST": SEND},
    API + "sensors/<int:sensor_id>/measurements/": {"GET": READ, "DELETE": MANAGE},
    API + "sensors/<int:sensor_id>/deletions/": {"GET": READ},
    API + "sensors/<int:sensor_id>/measurements/export/": {"GET": READ},
    API + "sensors/<int:sensor_id>/last/": {"GET": READ},
    API + "sensors/<int:sensor_id>/series/": {"GET": READ},
    API + "series/": {"GET": READ},
    API + "rejected/": {"GET": READ},
    API + "rejected/groups/": {"GET": READ},
    API + "rejected/replay/": {"POST": MANAGE},
    API + "rejected/dismiss/": {"POST": MANAGE},
    API + "rejected/<int:message_id>/": {"GET": READ},
    API + "rejected/<int:message_id>/replay/": {"POST": MANAGE},
    API + "rejected/<int:message_id>/dismiss/": {"POST": MANAGE},
    API + "jobs/": {"GET": READ},
    API + "jobs/<int:job_id>/": {"GET": READ, "DELETE": MANAGE},
    API + "lobby/": {"GET": READ},
    API + "lobby/approve/": {"POST": MANAGE},
    API + "lobby/blocked/": {"GET": READ},
    API + "lobby/misfits/": {"GET": READ, "POST": MANAGE},
    API + "lobby/<int:sensor_id>/approve/": {"POST": MANAGE},
    API + "lobby/<int:sensor_id>/block/": {"POST": MANAGE},
    API + "lobby/<int:sensor_id>/unblock/": {"POST": MANAGE},
    API + "alerts/rules/": {"GET": READ, "POST": MANAGE},
    API + "alerts/rules/backtest/": {"POST": MANAGE},
    API + "alerts/rules/<int:rule_id>/": {"GET": READ, "PATCH": MANAGE, "DELETE": MANAGE},
    API + "alerts/incidents/": {"GET": READ},
    API + "alerts/incidents/<int:incident_id>/acknowledge/": {"POST": MANAGE},
    API + "alerts/silences/": {"GET": READ, "POST": MANAGE},
    API + "alerts/silences/<int:silence_id>/": {"GET": READ, "PATCH": MANAGE, "DELETE": MANAGE},
    API + "alerts/channels/": {"GET": MANAGE, "POST": SUPER},
    API + "alerts/channels/<int:channel_id>/": {"GET": MANAGE, "PATCH": SUPER, "DELETE": SUPER},
    API + "alerts/channels/<int:channel_id>/test/": {"POST": SUPER},
    API + "pipeline/": {"GET": READ},
    API + "trace/": {"GET": READ},
    # A name and a password, no token: test_throttle.py and test_around.py.
    AUTH + "login/": {"POST": set()},
    AUTH + "logout/": {"POST": SIGNED_IN},
    AUTH + "logoutall/": {"POST": {name for name in SIGNED_IN if ":" not in name}},
    "api/schema/": {"GET": DOCUMENTED},
    "api/docs/": {"GET": DOCUMENTED},
}
# Open to everybody, or with rules of their own (the admin's are Django's; tests/pipeline/test_metrics.py,
# tests/live/test_door.py).
OPEN = {"", "healthz", "readyz", "metrics", "favicon.ico", "api/", "live/"}
# The dashboard's pages: tests/dashboard/test_frame.py walks them.
PAGES = {route for route, _page in walk(dashboard.urlpatterns)}
# Pages of a library's.
DOCUMENTS = {"api/schema/", "api/docs/"}
# What strangers sent, who did what with it, whom alerts are told to, and when not: never for everybody.
PRIVATE = tuple(
    API + part for part in ("rejected/", "jobs/", "lobby/", "trace/", "alerts/silences/", "alerts/channels/")
)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


ROUTES = dict(walk(get_resolver().url_patterns))
ASKED = [(route, method) for route in TABLE for method in TABLE[route]]


def test_every_route_stands_in_the_table() -> None:
    others = {route for route in ROUTES if not route.startswith("admin/")} - OPEN - PAGES
    assert others == set(TABLE), "write down who may use it, in TABLE"


@pytest.mark.parametrize("route", TABLE)
def test_every_method_stands_in_the_table(route: str) -> None:
    view: Any = ROUTES[route]
    has = {method for method in METHODS if hasattr(view.cls, method.lower())}
    assert has == set(TABLE[route]), "write down who may use it, in TABLE"


@pytest.fixture
def clients(db: None, sensors: dict[int, Sensor], store: BatchStore) -> dict[str, APIClient]:
    def user(name: str, *groups: str, **more: Any) -> User:
        made = User.objects.create_user(name, **more)
        made.groups.set(Group.objects.filter(name__in=groups))
        return made

    def client(
        user: User, scope: str = "manage", expiry: timedelta | None = None, scheme: str = "Token"
    ) -> APIClient:
        client = APIClient()
        text = Token.objects.create(user=user, scope=scope, expiry=expiry)[1]
        client.credentials(HTTP_AUTHORIZATION=f"{scheme} {text}")
        return client

    unknown = APIClient()
    unknown.credentials(HTTP_AUTHORIZATION="Token " + "a" * 64)
    viewer, operator = user("vera", "viewer"), user("olga", "operator")
    superuser = User.objects.create_superuser("root")
    found = {
        "nobody": APIClient(),
        "unknown": unknown,
        "no rights": client(user("nora")),
        "viewer": client(viewer, scheme="Bearer"),
        "viewer: send": client(viewer, "send"),
        "operator": client(operator),
        "superuser": client(superuser),
        "disabled": client(user("dora", "operator", is_active=False)),
        "expired": client(superuser, expiry=timedelta(seconds=-1)),
        **{f"operator: {scope}": client(operator, scope) for scope in ("send", "read")},
        **{f"superuser: {scope}": client(superuser, scope) for scope in ("send", "read")},
    }
    assert set(found) == EVERYBODY
    return found


@pytest.mark.parametrize(("route", "method"), ASKED)
def test_who_is_let_in(route: str, method: str, clients: dict[str, APIClient], settings: Any) -> None:
    settings.API_PUBLIC_READ = False
    path = path_of(route)
    got: dict[str, int] = {}
    for name in sorted(EVERYBODY):
        body = {"sensor_id": 3, "value": 2.5} if "measurements" in route else {"name": name}
        got[name] = clients[name].generic(method, path, *_json(body)).status_code
    let_in = {name for name, status in got.items() if status not in (401, 403)}
    assert let_in == TABLE[route][method], got
    assert {name for name, status in got.items() if status == 401} >= (BAD | {"nobody"}) - let_in, got


@pytest.mark.parametrize(("route", "method"), [one for one in ASKED if one[0] not in DOCUMENTS])
def test_a_parameter_that_is_none_is_refused(route: str, method: str, clients: dict[str, APIClient]) -> None:
    path = path_of(route)
    client = clients["superuser"]
    if route.endswith("login/"):
        client = APIClient()
        User.objects.create_user("lena", password="a password of hers")
        client.credentials(
            HTTP_AUTHORIZATION="Basic " + base64.b64encode(b"lena:a password of hers").decode()
        )
    refused = client.generic(method, path + "?_=1", *_json({"name": "x"}))
    assert refused.status_code == 400, refused.content
    assert "Unknown parameter '_'" in refused.json()["detail"]


def path_of(route: str) -> str:
    return "/" + re.sub(r"<int:\w+>", "1", route)


def _json(body: dict[str, Any]) -> tuple[str, str]:
    return json.dumps(body), "application/json"


@pytest.mark.parametrize("route", [route for route in TABLE if "GET" in TABLE[route]])
def test_reading_is_for_everybody_where_it_is_public(
    route: str, clients: dict[str, APIClient], settings: Any
) -> None:
    settings.API_PUBLIC_READ = True
    path = path_of(route)
    let_in = {name for name in EVERYBODY - BAD if clients[name].get(path).status_code not in (401, 403)}
    assert let_in == (TABLE[route]["GET"] if route.startswith(PRIVATE) else EVERYBODY - BAD)


@pytest.mark.parametrize("route", TABLE)
def test_a_session_has_the_rights_of_its_user(route: str, db: None, sensors: object, settings: Any) -> None:
    settings.API_PUBLIC_READ = False
    for groups, may in (((), "no rights"), (("viewer",), "viewer"), (("operator",), "operator")):
        user = User.objects.create_user(f"user {may}")
        user.groups.set(Group.objects.filter(name__in=groups))
        client = APIClient()
        client.force_login(user)
        for method, who in TABLE[route].items():
            if route.startswith(AUTH):
                continue
            status = client.generic(method, path_of(route), *_json({"name": "x"}))
            assert (status.status_code not in (401, 403)) == (may in who), (may, method)


def test_the_groups_are_made_once(db: None) -> None:
    viewer = Group.objects.get(name="viewer")
    assert {name.partition("_")[0] for name in viewer.permissions.values_list("codename", flat=True)} == {
        "view"
    }
    viewer.permissions.clear()
    make_groups()
    assert not viewer.permissions.exists(), "what an admin has changed is changed"


def test_a_token_that_has_expired_says_so(clients: dict[str, APIClient]) -> None:
    answer = clients["expired"].get("/api/monitoring/sensors/")
    assert (answer.status_code, answer.json()["detail"]) == (401, "The token has expired.")


def test_a_refusal_says_what_is_missing(clients: dict[str, APIClient]) -> None:
    def refused(name: str) -> str:
        answer = clients[name].post("/api/monitoring/sensors/", {"name": "x"}, format="json")
        assert answer.status_code == 403
        return str(answer.json()["detail"])

    assert "monitoring.add_sensor" in refused("viewer")
    assert "scope is send" in refused("superuser: send")


def test_a_token_is_asked_for_with_a_scope(db: None) -> None:
    User.objects.create_superuser("root", password="a good password")
    basic = "Basic " + base64.b64encode(b"root:a good password").decode()
    client = APIClient()
    login = {"path": "/api/auth/login/", "format": "json", "headers": {"authorization": basic}}
    answer = client.post(data={"scope": "send", "name": "greenhouse"}, **login)
    assert (answer.status_code, answer.json()["scope"]) == (200, "send")
    assert Token.objects.get().name == "greenhouse"
    assert client.post(data={"scope": "all"}, **login).status_code == 400
    assert client.post(**login).json()["scope"] == "manage"
