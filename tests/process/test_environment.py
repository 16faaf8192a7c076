"""Variables: where they come from, and how they are read."""

from pathlib import Path

import pytest
from marshmallow import ValidationError

from process.environment import Environment, SettingsError, data_dir, gather


def test_the_environment_comes_before_env_and_that_before_what_make_run_noted(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / ".env").write_text('DATA_DIR=mine\nA=file\nB="a # ${HOME}"\nC=\n')
    (tmp_path / "mine" / "environment").write_text("A=noted\nB=noted\nC=noted\nD=noted\n")
    found = gather({"A": "shell", "D": " "}, tmp_path)
    assert found == {"A": "shell", "B": "a # ${HOME}", "C": "noted", "D": "noted", "DATA_DIR": "mine"}
    assert "D" not in gather({"A": "shell"}, tmp_path, noted=False)
    assert gather({"A": "shell", "ENV_FILES": "0"}, tmp_path) == {"A": "shell", "ENV_FILES": "0"}


@pytest.mark.parametrize(
    ("given", "written", "expected"),
    [
        ({"MQTT_URL": "shell"}, "MQTT_URL_FILE=file", {"MQTT_URL": "shell"}),
        ({"MQTT_URL_FILE": "shell"}, "MQTT_URL=file", {"MQTT_URL_FILE": "shell"}),
        ({}, "MQTT_URL_FILE=a\nMQTT_URL=b", {"MQTT_URL_FILE": "a", "MQTT_URL": "b"}),
    ],
)
def test_a_variable_and_its_file_stand_for_each_other(
    tmp_path: Path, given: dict[str, str], written: str, expected: dict[str, str]
) -> None:
    (tmp_path / ".env").write_text(written)
    assert gather(given, tmp_path) == expected


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(SettingsError, match=r"\.env: it cannot be read: it is not UTF-8"):
        gather({}, tmp_path)


def test_the_data_folder_may_be_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert data_dir({"DATA_DIR": "~/iot"}, tmp_path) == Path("/home/me/iot")
    assert data_dir({}, tmp_path) == tmp_path / ".data"


@pytest.mark.parametrize("written", ["a,b", " a , b ", ",a,,b,", "a,\n b"])
def test_lists_are_split_at_commas_and_stripped(written: str) -> None:
    assert Environment({"NAME": written}).list("NAME") == ["a", "b"]


def test_a_list_is_checked_as_it_is_read() -> None:
    def check(words: list[str]) -> None:
        if "c" in words:
            raise ValidationError("no c")

    env = Environment({"NAME": "a, c"})
    env.list("NAME", validate=check)
    with pytest.raises(SettingsError, match=r"^NAME: no c$"):
        env.seal()
    assert Environment({"NAME": " "}).list("NAME", ["x"], validate=check) == ["x"]


@pytest.mark.parametrize("written", ["debug", "Debug", "DEBUG", " debug "])
def test_names_of_levels_may_have_any_case(written: str) -> None:
    assert Environment({"LOG_LEVEL": written}).log_level() == "DEBUG"


def test_every_fault_is_in_one_line_that_names_the_variable(tmp_path: Path) -> None:
    env = Environment({"LOG_LEVEL": "LOUD", "PORT": "x", "SECRET_FILE": "/nowhere", "SECRET": "hush"})
    env.log_level()
    env.int("PORT")
    env.str("MISSING")
    env.str("SECRET")
    with pytest.raises(SettingsError) as caught:
        env.seal()
    assert str(caught.value) == (
        'LOG_LEVEL: is "LOUD"; it must be DEBUG, INFO, WARNING or ERROR; '
        "MISSING: Environment variable not set.; "
        "PORT: Not a valid integer.; SECRET_FILE: /nowhere cannot be read: No such file or directory"
    )


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff"])
def test_a_secret_in_a_file_that_holds_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    env = Environment({"SECRET_FILE": str(tmp_path / "secret")})
    env.str("SECRET")
    with pytest.raises(SettingsError, match=r"^SECRET_FILE: [^;]*$"):
        env.seal()
    (tmp_path / "secret").write_text(" hush\n")
    assert env._get_value("SECRET", None) == "hush"
