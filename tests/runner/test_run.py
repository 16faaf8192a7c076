"""`make run`, with everything real but Django."""

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

import psycopg2
import pytest
import redis
from dotenv import dotenv_values

from runner import machine, ports
from runner.services import Broker, Postgres, Redis
from runner.supervisor import GRACE
from tests.runner.running import Run, free_port, until


def connected(run: Run) -> redis.Redis:
    line = next(x for x in (run.data / "environment").read_text().splitlines() if x.startswith("REDIS_URL="))
    return redis.Redis.from_url(line.split("=", 1)[1].strip("'"))


def rounds(run: Run, name: str) -> int:
    try:
        return int(connected(run).get(f"test:rounds:{name}") or 0)
    except redis.RedisError:
        return -1


def test_it_works(start):
    run = start(fresh=True).ready()
    assert "admin / correct-horse" in run.output
    assert f"http://127.0.0.1:{run.env['WEB_PORT']}/admin/" in run.output
    assert f"mosquitto_pub -h 127.0.0.1 -p {run.env['MQTT_PORT']} -q 1 -t iot/measurements" in run.output
    assert "bridge   │ starting" in run.output
    assert run.data.stat().st_mode & 0o777 == 0o700
    for secret in ("environment", "secret-key", "postgres/password", "redis/password"):
        assert (run.data / secret).stat().st_mode & 0o777 == 0o600
    assert run.end() == 0
    assert run.output.endswith("stopped; data stays in .data\n")
    assert run.left() == {}


def test_a_bridge_with_a_name_of_its_own_is_ready_too(start):
    run = start(BRIDGE_NAME="plant").ready()
    assert "bridge is ready" in run.output
    assert run.end() == 0


def test_a_second_run_starts_from_the_data_of_the_first(start):
    first = start().ready()
    kept = (first.data / "environment").read_text()
    until(lambda: rounds(first, "bridge") > 3)
    assert first.end(signal.SIGTERM) == 0
    second = start(**{name: first.env[name] for name in ("WEB_PORT", "MQTT_PORT", "FLOWER_PORT")}).ready()
    assert (second.data / "environment").read_text() == kept
    assert rounds(second, "bridge") > 3
    assert second.end() == 0


def test_the_embedded_redis_has_room_for_what_may_wait(start):
    run = start(BATCHES_MAX_BYTES=str(2**30)).ready()
    assert int(connected(run).config_get("maxmemory")["maxmemory"]) == 1312 * 2**20
    assert run.end() == 0


def test_two_at_once_on_the_same_data(start):
    first = start().ready()
    second = start()
    assert second.wait() == 1
    assert second.output.count("\n") == 1
    assert f"running already on {second.data} (pid {first.process.pid})" in second.output
    assert first.end(signal.SIGHUP) == 0


@pytest.mark.parametrize("variable", ["WEB_PORT", "FLOWER_PORT", "MQTT_PORT"])
def test_a_taken_port_is_one_line_that_names_the_variable(start, variable):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        run = start(fresh=True, **{variable: str(port)})
        assert run.wait() == 1
    assert run.output.count("\n") == 1
    assert f"port {port} is taken by" in run.output
    assert f"pid {os.getpid()}" in run.output
    assert f"{variable}={port + 1} make run" in run.output


def test_every_wrong_variable_is_named(start):
    run = start(fresh=True, WEB_PORT="eighty", SIMULATE="-1", MQTT_PORT="99999")
    assert run.wait() == 1
    assert run.output.count("\n") == 1
    for name in ("WEB_PORT", "SIMULATE", "MQTT_PORT"):
        assert f"{name}: " in run.output


def test_what_django_refuses_is_one_line_before_anything_is_started(start):
    run = start(fresh=True, FAIL="check_settings")
    assert run.wait() == 1
    assert run.output.splitlines()[-1] == "✗ RETENTION_DAYS: what Django says"
    assert not (run.data / "postgres").exists()
    assert not (run.data / "redis").exists()


HOSTILE = {
    "PGHOST": "192.0.2.1",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGUSER": "somebody",
    "PGDATABASE": "theirs",
    "PGSERVICE": "theirs",
    "PGOPTIONS": "-c default_transaction_read_only=on",
    "PGSSLMODE": "verify-full",
    "PGTZ": "Asia/Tokyo",
    "PGDATA": "/nowhere",
    "PYTHONPATH": "/nowhere",
    "PYTHONSTARTUP": "/nowhere",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "DJANGO_SETTINGS_MODULE": "theirs.settings",
    "http_proxy": "http://127.0.0.1:1",
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "ALL_PROXY": "socks5://127.0.0.1:1",
    "TZ": "Asia/Kathmandu",
    "LC_ALL": "fr_FR.ISO-8859-1",
    "LANG": "tr_TR.UTF-8",
    "REDISCLI_AUTH": "theirs",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_CONF": "nonsense:true",
}


def test_what_else_is_in_the_environment_changes_nothing(start):
    """From nothing, so that PostgreSQL's cluster too is made in it."""
    run = start(fresh=True, **HOSTILE).ready()
    noted = dotenv_values(run.data / "environment")
    with (
        contextlib.closing(psycopg2.connect(noted["DATABASE_URL"])) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("CREATE TABLE written (x int)")
        shown = {}
        for name in ("TimeZone", "log_timezone", "lc_messages", "server_encoding"):
            cursor.execute(f"SHOW {name}")
            shown[name] = cursor.fetchone()[0]
        cursor.execute("SELECT current_user, current_database()")
        assert cursor.fetchone() == ("iot", "iot")
    assert shown == {
        "TimeZone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C.UTF-8",
        "server_encoding": "UTF8",
    }
    until(lambda: rounds(run, "bridge") > 3)
    for word in ("postgres", "valkey-server", "iotcore"):
        seen = (Path("/proc") / str(run.pid_of(word)) / "environ").read_text().split("\0")
        assert not HOSTILE.keys() & {line.partition("=")[0] for line in seen} - {"LC_ALL"}, word
    assert run.end() == 0
    assert run.left() == {}


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("DATABASE_URL", "postgres://me:hush%21hush@127.0.0.1:{port}/iot"),
        ("REDIS_URL", "redis://:hush%21hush@127.0.0.1:{port}/0"),
        ("MQTT_URL", "mqtt://me:hush%21hush@127.0.0.1:{port}"),
        ("MQTT_URL", "mqtt://no.such.host.invalid"),
        ("REDIS_URL", "http://127.0.0.1"),
        ("DATABASE_URL", "postgres://127.0.0.1:port/iot"),
    ],
)
def test_a_url_that_does_not_answer_is_one_line_without_the_password(start, variable, url):
    run = start(fresh=True, **{variable: url.format(port=free_port())})
    assert run.wait() == 1
    problem = run.output.splitlines()[-1]
    assert problem.startswith(f"✗ {variable}")
    assert "Traceback" not in run.output
    assert "hush" not in run.output
    assert not (run.data / "postgres").exists()


def test_services_given_by_url_are_used_and_left_running(start, tmp_path):
    with (
        Postgres(tmp_path / "pg", durable=False) as database,
        Redis(tmp_path / "redis") as store,
        Broker(tmp_path / "mqtt") as broker,
    ):
        urls = {"DATABASE_URL": database.url, "REDIS_URL": store.url, "MQTT_URL": broker.url}
        run = start(fresh=True, **urls).ready()
        assert f"mosquitto_pub -h 127.0.0.1 -p {broker.port} " in run.output
        assert not {path.name for path in run.data.iterdir()} & {"postgres", "redis", "mqtt"}
        assert run.end() == 0
        assert database.running
        assert store.running
        assert broker.running


def test_output_that_nobody_reads_any_more_ends_it(start):
    run = start().ready()
    run.hang_up = True
    os.kill(run.pid_of("works.py", "bridge"), signal.SIGKILL)
    assert run.wait() == 0
    assert run.left() == {}


def test_a_child_that_dies_before_it_is_ready_stops_everything(start):
    run = start(BROKEN="worker")
    assert run.wait() == 1
    assert "worker   │ cannot import the moon" in run.output
    assert run.output.splitlines()[-1].startswith("✗ worker ended with exit code 7 before it was ready")
    assert run.left() == {}


def test_a_failing_setup_shows_its_last_lines(start):
    run = start(FAIL="migrate")
    assert run.wait() == 1
    assert "migrate  │ relation does not exist" in run.output
    assert run.output.splitlines()[-1].startswith("✗ manage.py migrate failed with exit code 3")
    assert run.left() == {}


def test_what_dies_later_is_started_again(start):
    run = start().ready()
    until(lambda: rounds(run, "bridge") > 0)
    relatives = set(run.left())
    os.kill(run.pid_of("works.py", "bridge"), signal.SIGKILL)
    until(lambda: "bridge was killed by SIGKILL; starting it again in 1 s" in run.output)
    until(lambda: len(run.left()) >= len(relatives), what="the bridge and its child are back")
    assert len(set(run.left()) - relatives) >= 2
    assert len(run.left()) == len(relatives), "what the killed one had started is gone too"
    assert run.end() == 0


def test_a_service_that_dies_is_started_again_with_its_data(start):
    run = start().ready()
    until(lambda: rounds(run, "bridge") > 3)
    for words in (("redis.conf",), ("valkey-server",), ("redis-server",)):
        if found := [pid for pid, command in run.left().items() if all(word in command for word in words)]:
            os.kill(found[0], signal.SIGKILL)
            break
    os.kill(run.pid_of("postgres", "-D"), signal.SIGKILL)
    until(lambda: run.output.count("ended; starting it again in 1 s") == 2)
    until(lambda: run.output.count("Redis is ready") == 2)
    until(lambda: run.output.count("PostgreSQL is ready") == 2)
    assert rounds(run, "bridge") > 3
    assert run.end() == 0
    assert run.left() == {}


@pytest.mark.parametrize("victims", [["run"], ["supervise", "run"]])
def test_kill_9_leaves_nothing(start, victims):
    # With both gone only the kernel's death signals are left, and those reach children, not grandchildren.
    run = start(GRANDCHILDREN="0" if len(victims) == 2 else "1").ready()
    assert len(run.left()) > 10
    pids = [run.process.pid if one == "run" else run.pid_of("-m runner supervise") for one in victims]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not run.left(), 20, "everything has ended")


def test_kill_9_of_the_supervisor_leaves_nothing_and_loses_nothing(start):
    run = start().ready()
    until(lambda: rounds(run, "bridge") > 3)
    os.kill(run.pid_of("-m runner supervise"), signal.SIGKILL)
    assert run.wait() == 128 + signal.SIGKILL
    assert "the runner was killed by SIGKILL" in run.output
    assert run.left() == {}
    again = start().ready()
    assert rounds(again, "bridge") > 3
    assert again.end() == 0


def test_kill_9_of_make_leaves_nothing(start):
    run = start(under_make=True).ready()
    run.process.kill()
    until(lambda: not run.left(), 20, "everything has ended")


def test_a_second_ctrl_c_hurries(start, project):
    (project / "Procfile").write_text("worker: python stubborn.py\n")
    (project / "stubborn.py").write_text(
        "import os, redis, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "redis.Redis.from_url(os.environ['REDIS_URL']).set('iot:heartbeat:worker', 1)\n"
        "time.sleep(600)\n"
    )
    run = start(SIMULATE="0").ready()
    run.process.send_signal(signal.SIGINT)
    until(lambda: "stopping …" in run.output)
    assert run.process.poll() is None
    assert run.end(seconds=0.8 * GRACE["worker"]) == 0
    assert run.left() == {}


def test_ctrl_c_while_it_starts(start):
    run = start(fresh=True)
    until(lambda: "starting PostgreSQL" in run.output)
    assert run.end() == 0
    assert run.left() == {}
    assert start().ready().end() == 0


def test_a_full_disk_is_one_line(start, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)]
    if os.geteuid() != 0 or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        run = start(fresh=True, DATA_DIR=str(small / "data"))
        assert run.wait() == 1
        assert "is full" in run.output.splitlines()[-1]
        assert "Traceback" not in run.output
        assert run.left() == {}
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


# --- who may reach the site ----------------------------------------------------------------------


def test_the_site_is_for_this_machine_alone_unless_told(start):
    run = start().ready()
    assert "From elsewhere" not in run.output
    assert dotenv_values(run.data / "environment")["ALLOWED_HOSTS"] == "localhost,127.0.0.1,[::1]"
    for address in machine.addresses("0.0.0.0"):
        assert not ports.answers(int(run.env["WEB_PORT"]), address)
    assert run.end() == 0


def test_web_listen_lets_others_in_and_says_so(start):
    run = start(WEB_LISTEN="0.0.0.0", MQTT_LISTEN="0.0.0.0").ready()
    (row,) = [line for line in run.output.splitlines() if "From elsewhere" in line]
    assert "(listens on 0.0.0.0: open to that network; reading measurements takes no token)" in row
    assert run.output.count("(listens on 0.0.0.0: open to that network") == 2
    assert f"Admin           http://127.0.0.1:{run.env['WEB_PORT']}/admin/" in run.output
    known = dotenv_values(run.data / "environment")["ALLOWED_HOSTS"].split(",")
    assert set(known) >= {"localhost", socket.gethostname().lower(), *machine.addresses("0.0.0.0")}
    for address in machine.addresses("0.0.0.0"):
        assert ports.answers(int(run.env["WEB_PORT"]), address)
    assert run.end() == 0


def test_names_that_somebody_gave_are_left_and_what_they_lack_is_said(start):
    run = start(WEB_LISTEN="0.0.0.0", ALLOWED_HOSTS="iot.example.org", API_PUBLIC_READ="0").ready()
    (row,) = [line for line in run.output.splitlines() if "From elsewhere" in line]
    assert "under the names in ALLOWED_HOSTS alone; add " in row
    assert "token" not in row
    assert run.end() == 0


def test_a_web_listen_that_is_no_address_of_this_machine(start):
    run = start(fresh=True, WEB_LISTEN="192.0.2.77")
    assert run.wait() == 1
    assert "cannot be used on 192.0.2.77" in run.output


# --- at a terminal -------------------------------------------------------------------------------


def test_the_box_stays_readable_and_comes_again_on_enter(start):
    """The log keeps to one line under it; a warning has a line of its own."""
    terminal, theirs = os.openpty()
    run = start(terminal=theirs, TALKS="bridge", TERM="xterm", TIME_ZONE="Asia/Kathmandu")
    seen = ""

    def read_until(text: str, times: int = 1) -> None:
        nonlocal seen
        deadline = time.monotonic() + 90
        while seen.count(text) < times:
            assert time.monotonic() < deadline, seen
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 4096).decode(errors="replace")

    read_until("This again")
    box, seen = seen, ""
    read_until("WARNING something", times=3)
    assert "INFO    a message\r\n" not in seen
    assert seen.count("INFO    a message\r\033[K") >= 2
    assert "simulate" in box
    os.write(terminal, b"\n")
    read_until("This again")
    os.kill(run.pid_of("works.py", "bridge"), signal.SIGKILL)
    read_until("bridge was killed by SIGKILL")
    assert re.search(r"· \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+05:45 bridge was killed", seen)
    run.process.send_signal(signal.SIGINT)
    read_until("stopped; data stays in .data")
    assert run.process.wait(60) == 0
    assert run.left() == {}


def test_without_a_terminal_every_line_is_there(start):
    run = start(TALKS="bridge").ready()
    until(lambda: run.output.count("INFO    a message\n") > 3)
    assert "\033" not in run.output
    assert run.end() == 0
