"""The healthcheck of the containers, as Docker runs it: exit code, and a line where it is not well."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from redis import Redis as Client

from runner.services import Redis

PROJECT = Path(__file__).parents[2]


def check(*what: str, **environ: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-SE", "deploy/healthcheck.py", *what],
        cwd=PROJECT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stderr


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """With a password, as the containers have it."""
    server = Redis(tmp_path / "redis").start()
    yield server
    server.stop()


def test_a_heartbeat_of_this_host_is_well(redis: Redis, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(redis.url + "\n")
    client = Client.from_url(redis.url)
    code, why = check("beat", "worker", REDIS_URL_FILE=str(file))
    assert (code, why) == (1, "worker: no heartbeat\n")
    client.set(f"iot:heartbeat:worker:{socket.gethostname()}", "ok")
    assert check("beat", "worker", REDIS_URL_FILE=str(file)) == (0, "")
    assert check("beat", "worker", REDIS_URL=redis.url, REDIS_URL_FILE="") == (0, "")


def test_that_of_another_host_does_not_count(redis: Redis) -> None:
    client = Client.from_url(redis.url)
    client.set("iot:heartbeat:worker", 1)
    client.set("iot:heartbeat:worker:another", "ok")
    client.set(f"iot:heartbeat:bridge:{socket.gethostname()}", "ok")
    assert check("beat", "worker", REDIS_URL=redis.url, REDIS_URL_FILE="")[0] == 1


def test_one_that_says_what_is_wrong_is_not_well(redis: Redis) -> None:
    Client.from_url(redis.url).set(
        f"iot:heartbeat:bridge:{socket.gethostname()}", "subscription refused: iot/é"
    )
    code, why = check("beat", "bridge", REDIS_URL=redis.url, REDIS_URL_FILE="", PYTHONIOENCODING="utf-8")
    assert (code, why) == (1, "bridge: subscription refused: iot/é\n")


@pytest.mark.parametrize("database", ["/3", "?db=3", "/1?db=3"])
def test_a_database_of_redis_other_than_the_first(redis: Redis, database: str) -> None:
    url = redis.url.rpartition("/")[0] + database
    Client.from_url(url).set(f"iot:heartbeat:beat:{socket.gethostname()}", "ok")
    assert check("beat", "beat", REDIS_URL=url, REDIS_URL_FILE="") == (0, "")
    assert check("beat", "beat", REDIS_URL=redis.url, REDIS_URL_FILE="")[0] == 1


def test_redis_away_or_with_another_password_is_said(redis: Redis) -> None:
    Client.from_url(redis.url).config_set("requirepass", "p@ss/word")
    host = redis.url.rpartition("@")[2]
    code, why = check("beat", "beat", REDIS_URL=f"redis://:wrong@{host}", REDIS_URL_FILE="")
    assert code == 1
    assert "AUTH" in why
    assert check("beat", "beat", REDIS_URL=f"redis://:p%40ss%2Fword@{host}", REDIS_URL_FILE="") == (
        1,
        "beat: no heartbeat\n",
    )
    redis.stop()
    code, why = check("beat", "beat", REDIS_URL=f"redis://{host}", REDIS_URL_FILE="")
    assert code == 1
    assert "refused" in why


def test_a_bridges_name_may_be_empty_or_in_a_file(redis: Redis, tmp_path: Path) -> None:
    (tmp_path / "name").write_text("two\n")
    client = Client.from_url(redis.url)
    client.set(f"iot:heartbeat:bridge@two:{socket.gethostname()}", "ok")
    environ = {"REDIS_URL": redis.url, "REDIS_URL_FILE": "", "BRIDGE_NAME": ""}
    assert check("beat", "bridge", **environ)[0] == 1
    assert check("beat", "bridge", **environ, BRIDGE_NAME_FILE=str(tmp_path / "name")) == (0, "")
    client.set(f"iot:heartbeat:bridge:{socket.gethostname()}", "ok")
    assert check("beat", "bridge", **environ) == (0, "")


@contextmanager
def http(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (400, 0), (301, 0), (500, 1), (503, 1)])
def test_http_is_well_unless_it_says_otherwise(status: int, code: int) -> None:
    with http(status) as port:
        assert check("http", str(port))[0] == code


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        code, why = check("http", str(taken.getsockname()[1]))
    assert code == 1
    assert "refused" in why
