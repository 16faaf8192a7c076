"""What `make run` reads, what it hands on, and the file that other terminals read."""

from pathlib import Path

import pytest
from dotenv import dotenv_values

from process.environment import gather
from runner import settings
from runner.child import read_procfile
from runner.problem import Problem


def test_the_real_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path):
    (tmp_path / ".env").write_text(
        "# mine\nLANGUAGE_CODE='fr'\nWEB_PORT=1\nREDIS_URL=\nMINE=\"a # b\"\nLOG_LEVEL=\n"
    )
    env = settings.load(tmp_path, {"WEB_PORT": "8001", "SIMULATE": ""})
    assert (env["LANGUAGE_CODE"], env.web_port, env["MINE"]) == ("fr", 8001, "a # b")
    assert (env["REDIS_URL"], env["LOG_LEVEL"], env.simulate, env.flower_port) == ("", "INFO", 1, 5555)
    assert "REDIS_URL" not in env.values
    assert env.data_dir == tmp_path / ".data"


def test_a_secret_may_be_in_a_file(tmp_path):
    (tmp_path / "url").write_text("redis://:secret@host\n")
    env = settings.load(tmp_path, {"REDIS_URL_FILE": str(tmp_path / "url")})
    assert env["REDIS_URL"] == "redis://:secret@host"
    with pytest.raises(Problem, match="MQTT_URL_FILE: /nowhere cannot be read"):
        settings.load(tmp_path, {"MQTT_URL_FILE": "/nowhere"})


@pytest.mark.parametrize(
    "value", ["plain", "with space", "it's", "a#b", 'q"q', "$HOME", "${HOME}", "back\\slash", "é", "a=b"]
)
def test_what_is_written_is_what_is_read(tmp_path, value):
    file = tmp_path / "environment"
    file.write_text(settings.as_file({"NAME": value, "OTHER": "1"}))
    assert dotenv_values(file, interpolate=False) == {"NAME": value, "OTHER": "1"}
    file.rename(tmp_path / ".env")
    assert gather({}, tmp_path) == {"NAME": value, "OTHER": "1"}


def test_ports_must_differ(tmp_path):
    with pytest.raises(Problem, match="WEB_PORT, FLOWER_PORT, MQTT_PORT: they must differ"):
        settings.load(tmp_path, {"WEB_PORT": "5555"})
    settings.load(tmp_path, {"WEB_PORT": "1883", "MQTT_URL": "mqtt://host"})


def test_what_is_wrong_for_the_bridge_is_found_too(tmp_path):
    """By what the bridge reads it with, and together with what is wrong for the runner."""
    wrong = {
        "WEB_PORT": "eighty",
        "LOG_LEVEL": "loud",
        "MQTT_TOPICS": "iot/#/x",
        "MQTT_CA_FILE": "/nowhere",
        "MQTT_URL": "mqtts://broker",
        "BRIDGE_NAME": "a b",
        "CELERY_BROKER_URL": "http://host",
    }
    with pytest.raises(Problem) as caught:
        settings.load(tmp_path, wrong)
    said = str(caught.value)
    assert said.count("\n") == 0
    for name in wrong.keys() - {"MQTT_URL"}:
        assert said.count(f"{name}: ") == 1, said


def test_names_may_have_any_case_and_are_handed_on_as_the_children_know_them(tmp_path):
    env = settings.load(tmp_path, {"LOG_LEVEL": "debug", "LANGUAGE_CODE": "FR"})
    assert (env["LOG_LEVEL"], env["LANGUAGE_CODE"]) == ("DEBUG", "fr")


def test_what_would_change_a_process_is_not_handed_on(tmp_path):
    given = {
        "PGHOSTADDR": "192.0.2.1",
        "PGSSLMODE": "require",
        "PYTHONPATH": "/x",
        "PYTHONSAFEPATH": "1",
        "DJANGO_SETTINGS_MODULE": "other.settings",
        "MAKEFLAGS": "-j",
        "HOME": "/",
    }
    assert settings.load(tmp_path, given).values.keys() & given.keys() == {"HOME"}


def test_the_procfile_is_read_without_a_shell(tmp_path: Path):
    file = tmp_path / "Procfile"
    file.write_text("# ours\nweb: run --port $PORT '$NAME; x'\n\n")
    assert read_procfile(file, {"PORT": "1", "NAME": "a b"}) == {"web": ["run", "--port", "1", "a b; x"]}
    with pytest.raises(Problem, match="the line of web needs the variable NAME"):
        read_procfile(file, {"PORT": "1"})
