"""Pages of other origins that ask the API from a browser: those in CORS_ALLOWED_ORIGINS, the API alone."""

from typing import Any

import pytest
from django.test import Client

from tests.api.conftest import API

pytestmark = pytest.mark.django_db
THEIRS = "https://dashboard.example.org"


@pytest.fixture
def allowed(settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = [THEIRS]
    settings.API_PUBLIC_READ = True


def asked(path: str, origin: str = THEIRS) -> Any:
    return Client().get(path, headers={"origin": origin})


def test_it_works(allowed: None) -> None:
    answer = asked(API + "measurements/")
    assert answer["Access-Control-Allow-Origin"] == THEIRS
    assert answer["Access-Control-Expose-Headers"] == "Link, Retry-After"
    assert "Access-Control-Allow-Credentials" not in answer


def test_a_page_may_send_with_a_token(allowed: None) -> None:
    said = Client().options(
        API + "measurements/",
        headers={
            "origin": THEIRS,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type,idempotency-key",
        },
    )
    assert said.status_code == 200
    assert "POST" in said["Access-Control-Allow-Methods"]
    for name in ("authorization", "content-type", "idempotency-key"):
        assert name in said["Access-Control-Allow-Headers"]


def test_a_refusal_can_be_read_too(allowed: None, settings: Any) -> None:
    settings.API_PUBLIC_READ = False
    answer = asked(API + "measurements/")
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (401, THEIRS)


@pytest.mark.parametrize(
    ("path", "origin"),
    [
        (API + "measurements/", "https://elsewhere.example.org"),
        (API + "measurements/", "http://dashboard.example.org"),
        ("/admin/login/", THEIRS),
        ("/healthz", THEIRS),
    ],
)
def test_it_handles_everybody_and_everything_else(allowed: None, path: str, origin: str) -> None:
    assert "Access-Control-Allow-Origin" not in asked(path, origin)


def test_nobody_unless_it_is_said() -> None:
    assert "Access-Control-Allow-Origin" not in asked(API + "measurements/")
