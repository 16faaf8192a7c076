"""The containers' secrets: made once, kept, taken from variables, refused where they are too weak."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.connection import parse_url

from bridge.address import MqttAddress
from deploy.credentials import WrongSecretError, make

VARIABLES = [
    "SECRET_KEY",
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "MQTT_BRIDGE_PASSWORD",
    "MQTT_DEMO_PASSWORD",
    "FLOWER_PASSWORD",
    "GRAFANA_DB_PASSWORD",
    "GRAFANA_PASSWORD",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ours", "db", "redis", "mosquitto", "grafana"):
        (tmp_path / name).mkdir()
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if not path.is_dir()
    }


def test_every_secret_is_made_once_and_kept(folder: Path) -> None:
    assert make(folder, {}) == VARIABLES
    before = contents(folder)
    assert make(folder, {}) == []
    assert contents(folder) == before


def test_no_two_are_alike_within_an_installation_or_between_two(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for name in ("ours", "db", "redis", "mosquitto", "grafana"):
        (other / name).mkdir(parents=True)
    make(folder, {})
    make(other, {})
    places = [
        "ours/SECRET_KEY",
        "db/password",
        "redis/password",
        "mosquitto/bridge",
        "mosquitto/demo",
        "ours/FLOWER_PASSWORD",
        "grafana/database",
        "grafana/admin",
    ]
    made = [(root / place).read_text().strip() for root in (folder, other) for place in places]
    assert len(set(made)) == len(made)
    assert all(len(secret) >= 32 for secret in made)


def test_each_reader_gets_what_is_its_own(folder: Path) -> None:
    make(folder, {})
    files = contents(folder)
    assert sorted(files) == [
        "db/password",
        "grafana/admin",
        "grafana/database",
        "mosquitto/bridge",
        "mosquitto/demo",
        "ours/BOARD_MQTT_URL",
        "ours/DATABASE_URL",
        "ours/FLOWER_PASSWORD",
        "ours/MQTT_TOPICS",
        "ours/MQTT_URL",
        "ours/REDIS_URL",
        "ours/SECRET_KEY",
        "redis/password",
        "redis/redis.conf",
    ]
    for name in files:
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o444, name
    database = urlsplit(files["ours/DATABASE_URL"].strip())
    assert (database.hostname, database.password) == ("db", files["db/password"].strip())
    redis = parse_url(files["ours/REDIS_URL"].strip())
    assert (redis["host"], redis["password"]) == ("redis", files["redis/password"].strip())
    assert files["redis/redis.conf"] == f'requirepass "{files["redis/password"].strip()}"\n'
    bridge = MqttAddress.parse(files["ours/MQTT_URL"].strip())
    assert (bridge.host, bridge.port, bridge.username) == ("mosquitto", 1883, "bridge")
    assert bridge.password == files["mosquitto/bridge"].strip()
    board = MqttAddress.parse(files["ours/BOARD_MQTT_URL"].strip())
    assert (board.username, board.password) == ("demo", files["mosquitto/demo"].strip())


def test_what_is_given_is_taken_whatever_it_is_made_of(folder: Path) -> None:
    make(folder, {})
    password = "a:/?#@%{}b-C_9!&*"
    given = {name: password.replace("{}", "+~") for name in VARIABLES[1:]} | {"SECRET_KEY": "k$'\"" * 20}
    assert make(folder, given) == []
    files = {name: text.rstrip("\n") for name, text in contents(folder).items()}
    assert files["ours/SECRET_KEY"] == given["SECRET_KEY"]
    assert files["db/password"] == given["POSTGRES_PASSWORD"]
    assert parse_url(files["ours/REDIS_URL"])["password"] == given["REDIS_PASSWORD"]
    assert MqttAddress.parse(files["ours/MQTT_URL"]).password == given["MQTT_BRIDGE_PASSWORD"]
    # Left out again, it stays.
    assert make(folder, {}) == []
    assert {name: text.rstrip("\n") for name, text in contents(folder).items()} == files


def test_addresses_that_are_given_stand_in_for_ours(folder: Path) -> None:
    given = {
        "DATABASE_URL": "postgres://me:pw@managed.example.org/iot",
        "REDIS_URL": "rediss://:pw@managed.example.org:6380/0",
        "MQTT_URL": "mqtt://broker.emqx.io:1883",
    }
    make(folder, given)
    for name, url in given.items():
        assert (folder / "ours" / name).read_text().strip() == url
    # The simulated board goes where the bridge listens.
    assert (folder / "ours/BOARD_MQTT_URL").read_text().strip() == given["MQTT_URL"]


@pytest.mark.parametrize(
    ("environ", "topics"),
    [
        ({}, "iot/measurements,iot/+/measurements"),
        ({"MQTT_URL": "mqtt://broker.emqx.io:1883"}, "iot/measurements"),
        ({"MQTT_TOPICS": "mine/#"}, "mine/#"),
        ({"MQTT_URL": "mqtt://broker.emqx.io:1883", "MQTT_TOPICS": "mine/#"}, "mine/#"),
    ],
)
def test_strangers_topics_are_asked_for_on_no_other_broker(
    folder: Path, environ: dict[str, str], topics: str
) -> None:
    make(folder, environ)
    assert (folder / "ours/MQTT_TOPICS").read_text().strip() == topics


@pytest.mark.parametrize(
    "password", ["short", "elevenchars", "with a blank in it", 'with"a"quote', "dollar$dollar$"]
)
@pytest.mark.parametrize("name", VARIABLES[1:])
def test_what_is_no_password_is_refused_without_repeating_it(folder: Path, name: str, password: str) -> None:
    with pytest.raises(WrongSecretError, match=name) as refused:
        make(folder, {name: password})
    assert password not in str(refused.value)


def test_a_short_key_is_refused(folder: Path) -> None:
    with pytest.raises(WrongSecretError, match="SECRET_KEY must have at least 50 characters"):
        make(folder, {"SECRET_KEY": "django-insecure-abc"})


def test_a_refusal_changes_nothing_that_stood_there(folder: Path) -> None:
    make(folder, {})
    before = contents(folder)
    with pytest.raises(WrongSecretError):
        make(folder, {"FLOWER_PASSWORD": "short"})
    assert contents(folder) == before


@contextmanager
def nobody() -> Iterator[Path]:
    """The folder, as somebody who is not root: root may write to a file that is read-only."""
    user = os.geteuid() or 65534
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folder in (root, *(root / reader for reader in ("ours", "db", "redis", "mosquitto", "grafana"))):
            folder.mkdir(exist_ok=True)
            os.chown(folder, user, -1)
        was = os.geteuid()
        os.seteuid(user)
        try:
            yield root
        finally:
            os.seteuid(was)


def test_what_a_crash_left_does_not_stop_it() -> None:
    with nobody() as folder:
        make(folder, {})
        before = contents(folder)
        left = folder / "db/password.new"
        left.write_text("half")
        left.chmod(0o444)
        with pytest.raises(PermissionError):
            left.write_text("whole")
        assert make(folder, {}) == []
        assert contents(folder) == before


def test_it_writes_through_no_link(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "another's"
    other.write_text("kept")
    (folder / "db/password.new").symlink_to(other)
    make(folder, {})
    assert other.read_text() == "kept"
    assert stat.S_IMODE(other.stat().st_mode) != 0o444
    assert (folder / "db/password").is_file()
