"""Who may watch, and what may stand behind the question mark: without a server."""

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group, User
from django.test import AsyncClient, Client

from monitoring.dashboard import live as door
from monitoring.roles import make_groups

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def own_hub(settings: Any) -> Iterator[None]:
    settings.LIVE_MAX_STREAMS = 8
    door.hub.cache_clear()
    yield
    door.hub.cache_clear()


@pytest.fixture
def viewer(db: None) -> User:
    make_groups()
    user = User.objects.create_user("viewer", password="x")
    user.groups.set(Group.objects.filter(name="viewer"))
    return user


def ask(client: AsyncClient, path: str, **headers: str) -> Any:
    """The answer's head; nothing of a stream is read."""
    return async_to_sync(client.get)(path, headers=headers)


def signed_in(user: User) -> AsyncClient:
    client = AsyncClient()
    client.force_login(user)
    return client


def test_who_is_not_signed_in_is_told_so() -> None:
    answer = ask(AsyncClient(), "/live/?ids=1")
    assert (answer.status_code, answer.json()) == (401, {"detail": "Sign in to watch."})


def test_where_reading_is_for_everybody_so_is_watching_but_what_was_refused(settings: Any) -> None:
    settings.API_PUBLIC_READ = True
    answer = ask(AsyncClient(), "/live/?ids=1,2&topics=pipeline,stored&after=1796000000000")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer["X-Accel-Buffering"] == "no"
    assert ask(AsyncClient(), "/live/?topics=rejected").status_code == 401


def test_the_permissions_are_those_of_the_api(viewer: User) -> None:
    assert ask(signed_in(viewer), "/live/?ids=1&topics=pipeline,rejected").status_code == 200
    viewer.groups.clear()
    answer = ask(signed_in(viewer), "/live/?ids=1")
    assert answer.status_code == 403
    assert "monitoring.view_measurement" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("topic", "permission"), [("pipeline", "view_ingestbatch"), ("rejected", "view_rejectedmessage")]
)
def test_a_topic_wants_its_own_permission(viewer: User, topic: str, permission: str) -> None:
    group = Group.objects.get(name="viewer")
    group.permissions.remove(*group.permissions.filter(codename=permission))
    assert ask(signed_in(viewer), "/live/?ids=1").status_code == 200
    answer = ask(signed_in(viewer), f"/live/?ids=1&topics={topic}")
    assert answer.status_code == 403
    assert f"monitoring.{permission}" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("", "Nothing to watch"),
        ("ids=", "Nothing to watch"),
        ("ids=1,x", "'x'"),
        ("ids=0", "'0'"),
        ("ids=-1", "'-1'"),
        ("ids=9223372036854775808", "'9223372036854775808'"),
        ("ids=" + ",".join(map(str, range(1, 102))), "100"),
        ("ids=²", "'²'"),
        ("topics=everything", "'everything'"),
        ("ids=1&after=yesterday", "'yesterday'"),
        ("ids=1&after=-1", "'-1'"),
        ("ids=1&once=2", "'2'"),
        ("ids=1&ids=2", "ids is given more than once"),
        ("ids=1&since=3", "'since'"),
    ],
)
def test_a_bad_parameter_is_named(settings: Any, query: str, word: str) -> None:
    settings.API_PUBLIC_READ = True
    answer = Client().get(f"/live/?{query}")
    assert answer.status_code == 400
    assert word in answer.json()["detail"]


def test_one_user_has_six(viewer: User) -> None:
    client = signed_in(viewer)
    held = [ask(client, "/live/?ids=1") for _ in range(6)]
    assert {answer.status_code for answer in held} == {200}
    refused = ask(signed_in(viewer), "/live/?ids=1")
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 0
    assert "6 streams" in refused.json()["detail"]
    held.pop().close()
    assert ask(client, "/live/?ids=1").status_code == 200


def test_a_process_has_its_bound(settings: Any) -> None:
    settings.API_PUBLIC_READ = True
    held = [ask(AsyncClient(), "/live/?ids=1") for _ in range(8)]
    refused = ask(AsyncClient(), "/live/?ids=1")
    assert refused.status_code == 503
    assert int(refused["Retry-After"]) > 0
    assert len(held) == 8


def test_pages_of_other_sites_may_not_watch(settings: Any) -> None:
    settings.API_PUBLIC_READ = True
    settings.CORS_ALLOWED_ORIGINS = ["https://friends.example"]

    def status(site: str, **more: str) -> int:
        return int(ask(AsyncClient(), "/live/?ids=1", **{"Sec-Fetch-Site": site}, **more).status_code)

    assert [status(site) for site in ("same-origin", "none")] == [200, 200]
    assert [status(site) for site in ("cross-site", "same-site")] == [403, 403]
    assert status("cross-site", Origin="https://strangers.example") == 403
    assert status("cross-site", Origin="https://friends.example") == 200
    answer = ask(AsyncClient(), "/live/?ids=1", Origin="https://friends.example")
    assert answer["Access-Control-Allow-Origin"] == "https://friends.example"


def test_other_methods_are_refused(settings: Any) -> None:
    settings.API_PUBLIC_READ = True
    assert Client().post("/live/?ids=1").status_code == 405
    answer = Client().head("/live/?ids=1")
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_server_that_cannot_stream_says_so(settings: Any) -> None:
    settings.API_PUBLIC_READ = True
    answer = Client().get("/live/?ids=1")
    assert answer.status_code == 503
    assert "config.web" in answer.json()["detail"]


def test_a_right_ends_with_the_session_the_account_and_the_permission(viewer: User, rf: Any) -> None:
    client = Client()

    def right(topics: frozenset[str] = frozenset()) -> Any:
        client.force_login(viewer)
        request = rf.get("/live/")
        request.session = client.session
        found = door._right(request, door.Wish(frozenset({1}), topics))
        assert found is not None
        assert found()
        return found

    one = right()
    client.logout()
    assert not one()
    one = right()
    User.objects.update(is_active=False)
    assert not one()
    User.objects.update(is_active=True)
    assert one()
    viewer.set_password("another")
    viewer.save()
    assert not one()
    one = right(frozenset({"rejected"}))
    viewer.groups.clear()
    assert not one()


def test_where_everybody_may_watch_nobody_is_asked_again(settings: Any, rf: Any) -> None:
    settings.API_PUBLIC_READ = True
    assert door._right(rf.get("/live/"), door.Wish(frozenset({1}), frozenset({"pipeline"}))) is None
