"""config/settings.py refuses what it cannot work with, in lines that hold no secret."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
GIVEN = {
    "SECRET_KEY": "x" * 50,
    "DATABASE_URL": "postgres://iot:pw@host/iot",
    "REDIS_URL": "redis://:pw@host:6379/0",
}


def read(**environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", "import config.settings as s; print(s.LOG_LEVEL, s.RETENTION_DAYS)"],
        cwd=PROJECT,
        env=os.environ | GIVEN | environment,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_an_empty_variable_counts_as_not_given() -> None:
    assert read(LOG_LEVEL="", RETENTION_DAYS="", SECRET_KEY_FILE="", CELERY_BROKER_URL="") == (
        0,
        "INFO 730\n",
    )


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
    assert said.splitlines()[-1].startswith(f"  {name}: ")
    assert "secret" not in said.replace("config.settings", "")


@pytest.mark.parametrize("file", ["nothing", "empty"])
def test_a_secrets_file_without_one_is_named(file: str, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    code, said = read(SECRET_KEY_FILE=str(tmp_path / file))
    assert code == 1
    assert "SECRET_KEY_FILE" in said.splitlines()[-1]
