"""Whoever tries too often waits: 429 and Retry-After, in the admin as in the API."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from batches.store import BatchStore
from monitoring import throttle
from monitoring.models import Sensor

LOGIN = "/api/auth/login/"
PASSWORD = "a good password"


@pytest.fixture(autouse=True)
def few(settings: Any, store: BatchStore) -> Iterator[None]:
    settings.THROTTLE_LOGIN = "3/minute"
    yield
    store.redis.flushdb()


def log_in(password: str, name: str = "ana", address: str = "192.0.2.1", **more: Any) -> Any:
    basic = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    return APIClient().post(LOGIN, HTTP_AUTHORIZATION=basic, REMOTE_ADDR=address, **more)


def test_it_works(user: User) -> None:
    assert [log_in("wrong").status_code for _ in range(4)] == [401, 401, 401, 429]
    answer = log_in(PASSWORD)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 60


def test_the_right_password_does_not_count(user: User) -> None:
    assert {log_in(PASSWORD).status_code for _ in range(8)} == {200}


def test_the_admin_and_the_api_count_together(user: User) -> None:
    form = {"username": "ana", "password": "wrong"}
    for _ in range(3):
        page = Client(REMOTE_ADDR="192.0.2.1").post("/admin/login/", form)
        assert page.status_code == 200
    refused = Client(REMOTE_ADDR="192.0.2.1").post("/admin/login/", form)
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 60
    assert log_in(PASSWORD).status_code == 429


def test_nobody_locks_somebody_elsewhere_out(user: User) -> None:
    for _ in range(5):
        log_in("wrong")
    assert log_in(PASSWORD, address="192.0.2.2").status_code == 200


def test_a_colleague_at_the_same_address_gets_in(user: User) -> None:
    User.objects.create_user("bob", password=PASSWORD)
    for _ in range(5):
        log_in("wrong")
    assert log_in(PASSWORD, "bob").status_code == 200


def test_many_names_from_one_address_are_bounded_too(db: None) -> None:
    answers = [log_in("wrong", f"name {i}").status_code for i in range(31)]
    assert answers == [401] * 30 + [429]


def test_a_forged_x_forwarded_for_is_no_new_address(user: User) -> None:
    for i in range(3):
        log_in("wrong", HTTP_X_FORWARDED_FOR=f"203.0.113.{i}")
    assert log_in("wrong", HTTP_X_FORWARDED_FOR="203.0.113.9").status_code == 429


def test_one_machine_has_one_ipv6_network(user: User) -> None:
    for i in range(3):
        log_in("wrong", address=f"2001:db8::{i}")
    assert log_in("wrong", address="2001:db8::ffff:1").status_code == 429
    assert log_in(PASSWORD, address="2001:db8:0:1::1").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_thirty_at_once_are_no_way_around(user: User, settings: Any) -> None:
    settings.THROTTLE_LOGIN = "10/minute"

    def attempt(_: int) -> int:
        try:
            return int(log_in("wrong").status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(attempt, range(30)))
    assert sorted(answers) == [401] * 10 + [429] * 20


def test_wrong_tokens_are_throttled_and_right_ones_beside_them_are_not(sender: APIClient) -> None:
    wrong = APIClient(HTTP_AUTHORIZATION="Token " + "a" * 64)
    assert [wrong.get("/api/monitoring/sensors/").status_code for _ in range(31)] == [401] * 30 + [429]
    assert sender.get("/api/monitoring/sensors/").status_code == 200


def test_new_tokens_are_throttled(user: User, settings: Any) -> None:
    settings.THROTTLE_TOKENS = "2/hour"
    assert [log_in(PASSWORD).status_code for _ in range(3)] == [200, 200, 429]


def test_what_changes_something_is_throttled_and_reading_is_not(
    sender: APIClient, sensors: dict[int, Sensor], settings: Any
) -> None:
    settings.THROTTLE_POST = "2/minute"
    reading = {"sensor_id": 3, "value": 2.5}
    answers = [sender.post("/api/monitoring/measurements/", reading, format="json") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert 0 < int(answers[-1]["Retry-After"]) <= 60
    assert sender.post("/api/monitoring/sensors/", {"name": "x"}, format="json").status_code == 429
    assert sender.get("/api/monitoring/sensors/").status_code == 200
    settings.THROTTLE_POST = "off"
    assert sender.post("/api/monitoring/measurements/", reading, format="json").status_code == 202


def test_who_wants_to_see_what_is_wrong_gets_in_without_redis(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "glance", lambda: BatchStore.at("redis://127.0.0.1:1/0", 1))
    assert log_in(PASSWORD).status_code == 200


@pytest.mark.parametrize("text", ["", "10", "10/week", "0/minute", "-1/minute", "ten/minute"])
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="10/minute"):
        throttle.Rate.read(text)
