"""Where the variables come from, and the file that other terminals read."""

from pathlib import Path

import pytest
from dotenv import dotenv_values

from runner import environment
from runner.child import read_procfile
from runner.problem import Problem


def test_the_real_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path):
    (tmp_path / ".env").write_text(
        "# mine\nLANGUAGE_CODE='fr'\nWEB_PORT=1\nREDIS_URL=\nMINE=\"a # b\"\nLOG_LEVEL=\n"
    )
    env = environment.load(tmp_path, {"WEB_PORT": "8001", "SIMULATE": ""})
    assert (env["LANGUAGE_CODE"], env.web_port, env["MINE"]) == ("fr", 8001, "a # b")
    assert (env["REDIS_URL"], env["LOG_LEVEL"], env.simulate, env.flower_port) == ("", "INFO", 1, 5555)
    assert "REDIS_URL" not in env.values
    assert env.data_dir == tmp_path / ".data"


def test_a_secret_may_be_in_a_file(tmp_path):
    (tmp_path / "url").write_text("redis://:secret@host\n")
    assert (
        environment.load(tmp_path, {"REDIS_URL_FILE": str(tmp_path / "url")})["REDIS_URL"]
        == "redis://:secret@host"
    )
    with pytest.raises(Problem, match="MQTT_URL_FILE: /nowhere cannot be read"):
        environment.load(tmp_path, {"MQTT_URL_FILE": "/nowhere"})


@pytest.mark.parametrize(
    "value", ["plain", "with space", "it's", "a#b", 'q"q', "$HOME", "back\\slash", "é", "a=b"]
)
def test_what_is_written_is_what_is_read(tmp_path, value):
    file = tmp_path / "environment"
    file.write_text(environment.as_file({"NAME": value, "OTHER": "1"}))
    assert dotenv_values(file, interpolate=False) == {"NAME": value, "OTHER": "1"}


def test_ports_must_differ(tmp_path):
    with pytest.raises(Problem, match="must differ"):
        environment.load(tmp_path, {"WEB_PORT": "5555"})


def test_the_procfile_is_read_without_a_shell(tmp_path: Path):
    file = tmp_path / "Procfile"
    file.write_text("# ours\nweb: run --port $PORT '$NAME; x'\n\n")
    assert read_procfile(file, {"PORT": "1", "NAME": "a b"}) == {"web": ["run", "--port", "1", "a b; x"]}
    with pytest.raises(Problem, match="the line of web needs the variable NAME"):
        read_procfile(file, {"PORT": "1"})
