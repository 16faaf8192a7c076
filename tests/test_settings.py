"""config/settings.py refuses what it cannot work with, in lines that hold no secret."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.elsewhere import Ended, elsewhere

PROJECT = Path(__file__).parents[1]
GIVEN = {
    "SECRET_KEY": "x" * 50,
    "DATABASE_URL": "postgres://iot:pw@host/iot",
    "REDIS_URL": "redis://:pw@host:6379/0",
}


def read(*names: str, **environment: str) -> Ended:
    """What the settings say of these, read anew; or what they refuse with."""

    def anew() -> str:
        os.environ.update(GIVEN | environment)
        del sys.modules["config.settings"]
        settings = importlib.import_module("config.settings")
        return " ".join(str(getattr(settings, name)) for name in names)

    return elsewhere(anew)


def test_an_empty_variable_counts_as_not_given() -> None:
    empty = {"LOG_LEVEL": "", "RETENTION_DAYS": "", "SECRET_KEY_FILE": "", "CELERY_BROKER_URL": ""}
    assert read("LOG_LEVEL", "RETENTION_DAYS", **empty) == (0, "INFO 730")


def test_a_refusal_ends_the_process_with_its_line() -> None:
    program = [sys.executable, "-c", "import config.settings"]
    environment = os.environ | GIVEN | {"REDIS_URL": "nonsense"}
    done = subprocess.run(program, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("REDIS_URL: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("REDIS_URL", ""),
        ("REDIS_URL", "nonsense"),
        ("REDIS_URL", "redis://:12secret/x@host"),
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "sqlite:///x"),
        ("DATABASE_URL", "mysql://iot:secret@host/iot"),
        ("DATABASE_URL", "postgres://iot:se/secret@host/iot"),
        ("CELERY_BROKER_URL", "http://:secret@host"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    code, said = read(**{name: value})
    assert code == 1
    assert "\n" not in said
    assert said.startswith(f"{name}: ")
    assert "secret" not in said


@pytest.mark.parametrize("file", ["nothing", "empty"])
def test_a_secrets_file_without_one_is_named(file: str, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    code, said = read(SECRET_KEY_FILE=str(tmp_path / file))
    assert code == 1
    assert said.startswith("SECRET_KEY_FILE: ")
    assert "\n" not in said


def test_names_may_have_any_case_and_lists_may_have_blanks() -> None:
    given = {"LOG_LEVEL": "debug", "PARTITION_WIDTH": "Week", "ALLOWED_HOSTS": " a.example , b.example,"}
    said = read(*given, **given).said
    assert said == "DEBUG week ['a.example', 'b.example']"


def test_libpqs_variables_do_not_lead_elsewhere() -> None:
    """DATABASE_URL says which database it is; another one's variables in the same shell change nothing."""
    program = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django
django.setup()
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SHOW DateStyle")
    print(cursor.fetchone(), connection.connection.info.port)
"""
    theirs = {
        "PGHOST": "192.0.2.1",
        "PGHOSTADDR": "192.0.2.1",
        "PGPORT": "1",
        "PGUSER": "somebody",
        "PGDATABASE": "theirs",
        "PGSERVICE": "theirs",
        "PGOPTIONS": "-c datestyle=german",
        "PGDATESTYLE": "German",
        "PGSSLMODE": "verify-full",
        "PGTARGETSESSIONATTRS": "standby",
    }
    url = os.environ["DATABASE_URL"].rpartition("/")[0] + "/iot"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env=os.environ | theirs | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == f"('ISO, MDY',) {url.rpartition(':')[2].partition('/')[0]}\n", done.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ""),
        (
            {"PARTITION_WIDTH": "day"},
            "RETENTION_DAYS=730 needs about 763 partitions of monitoring_measurement, a day each; "
            "120 is the most. Set PARTITION_WIDTH=week, or RETENTION_DAYS to 87 or less.",
        ),
        (
            {"ROLLUP_HOUR_RETENTION_DAYS": "7"},
            "ROLLUP_HOUR_RETENTION_DAYS=7 is less than ROLLUP_MINUTE_RETENTION_DAYS=730. Set",
        ),
    ],
)
def test_what_does_not_go_together_is_one_line_too(given: dict[str, str], said: str) -> None:
    """And found without a database: none answers there."""
    nowhere = GIVEN | {"DATABASE_URL": "postgres://127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1/0"}
    done = subprocess.run(
        [sys.executable, "manage.py", "check_settings"],
        cwd=PROJECT,
        env=os.environ | nowhere | given,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == bool(said)
    assert (done.stdout + done.stderr).startswith(said)
    assert (done.stdout + done.stderr).count("\n") == bool(said)


def test_behind_a_proxy_that_ends_tls() -> None:
    """HTTPS=1: what the proxy did not get over TLS is sent back to it, and cookies go over nothing else."""
    program = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django
django.setup()
from django.test import Client
plain = Client(headers={"host": "iot.example.org"}).get("/admin/login/")
print(plain.status_code, plain["Location"])
secure = Client(headers={"host": "iot.example.org", "x-forwarded-proto": "https"}).get("/admin/login/")
print(secure.status_code, secure.cookies["csrftoken"]["secure"], secure["Strict-Transport-Security"])
print(Client(headers={"host": "iot.example.org"}).get("/healthz").status_code)
"""
    given = {
        "HTTPS": "1",
        "ALLOWED_HOSTS": "iot.example.org",
        "CSRF_TRUSTED_ORIGINS": "https://iot.example.org",
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env=os.environ | GIVEN | given,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        "301 https://iot.example.org/admin/login/",
        "200 True max-age=31536000; includeSubDomains; preload",
        "200",
    ], done.stderr
