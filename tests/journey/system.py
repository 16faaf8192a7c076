"""The whole system, each part a real process: our own as the Procfile has them."""

import json
import os
import shlex
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import paho.mqtt.client as mqtt
import psycopg2
from paho.mqtt.enums import CallbackAPIVersion

from batches.store import BatchStore
from bridge.address import MqttAddress
from process.heartbeat import bridge_process
from runner.services import Broker, Postgres, Redis
from tests.clusters import copy_migrated
from tests.runner.running import free_port

PROJECT = Path(__file__).parents[2]
T = TypeVar("T")


def wait_for(condition: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """What `condition` returns once it is true; fails with what it waited for."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = condition()
        except Exception as error:  # a service that is on its way
            found, last = None, error
        else:
            last = None
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}; last: {found!r} {last or ''}")
        time.sleep(0.02)


class System:
    """Starts everything in `folder`; `stop` leaves nothing."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        copy_migrated(folder / "postgres")
        self.postgres = Postgres(folder / "postgres", durable=False)
        self.redis = Redis(folder / "redis")
        self.broker = Broker(folder / "mqtt")
        for service in (self.postgres, self.redis, self.broker):
            service.start()
        self.web_port = free_port()
        self.environment = os.environ | {
            "ENV_FILES": "0",
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.redis.url,
            "MQTT_URL": self.broker.url,
            "SECRET_KEY": "for the tests alone",
            "DATA_DIR": str(folder / "data"),
            "WEB_PORT": str(self.web_port),
            "WEB_LISTEN": "127.0.0.1",
            "LOG_LEVEL": "INFO",
            "TIME_ZONE": "Asia/Kathmandu",
            "API_PUBLIC_READ": "1",
            "WORKER_CONCURRENCY": "1",
            "BATCH_LEASE_SECONDS": "2",
            "PATH": f"{Path(os.sys.executable).parent}:{os.environ['PATH']}",  # type: ignore[attr-defined]
            **environment,
        }
        (folder / "data").mkdir()
        self.commands = dict(
            line.split(": ", 1)
            for line in (PROJECT / "Procfile").read_text().splitlines()
            if ": " in line and not line.startswith("#")
        )
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.manage("first_run")

    def manage(self, *command: str) -> str:
        done = subprocess.run(
            ["python", "manage.py", *command],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def start(self, name: str, alias: str = "", **environment: str) -> None:
        """A line of the Procfile, ready to work. `alias`: its name here, where it is one of several."""
        env = self.environment | environment
        alias = alias or name
        command = shlex.split(os.path.expandvars(self._expand(self.commands[name], env)))
        command = [word.replace("worker@", f"{alias}@") for word in command]
        beats = bridge_process(env["BRIDGE_NAME"]) if "BRIDGE_NAME" in environment else name
        if name != "web":
            self.store.redis.delete(f"iot:heartbeat:{beats}")
        with open(self.folder / f"{alias}.log", "ab") as log:
            self.processes[alias] = subprocess.Popen(
                command, cwd=PROJECT, env=env, stdout=log, stderr=log, start_new_session=True
            )
        if name == "web":
            wait_for(lambda: self.get("/healthz", raw=True), "the web server")
        else:
            wait_for(lambda: self.store.redis.exists(f"iot:heartbeat:{beats}"), f"the heartbeat of {beats}")
        if name == "bridge":
            self.wait_connected(alias)

    def run(self, *command: str) -> "subprocess.Popen[bytes]":
        """A command of ours that runs on, with the processes' variables."""
        with open(self.folder / f"{command[-1]}.log", "ab") as log:
            return subprocess.Popen(
                ["python", *command],
                cwd=PROJECT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @staticmethod
    def _expand(command: str, env: dict[str, str]) -> str:
        for key, value in env.items():
            command = command.replace(f"${key}", value)
        return command

    def wait_connected(self, alias: str = "bridge") -> None:
        wait_for(
            lambda: "connected with code: 0" in self.log(alias) or "connecté" in self.log(alias), "CONNACK"
        )

    def kill(self, name: str) -> None:
        """SIGKILL to the process and its children at once."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def terminate(self, name: str) -> int:
        process = self.processes.pop(name)
        process.terminate()
        return process.wait(60)

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name)
        for service in (self.broker, self.redis, self.postgres):
            service.stop()

    @property
    def store(self) -> BatchStore:
        return BatchStore.at(self.redis.url, 256 * 2**20)

    # --- what a user does -------------------------------------------------------------------------

    def get(self, path: str, raw: bool = False) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web_port}{path}", timeout=10) as answer:
            body = answer.read()
        return body if raw else json.loads(body)

    def api(self, path: str) -> Any:
        return self.get(f"/api/monitoring/{path}")

    def query(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.postgres.url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql, params)
                return cursor.fetchall()
        finally:
            connection.close()

    def take(self, device: "Device", *payloads: bytes | str) -> None:
        """Publishes, and waits until it is stored: the broker's PUBACK says nothing of the bridge."""
        wanted = self.store.figures().handed_over + len(payloads)
        device.publish(*payloads)
        wait_for(lambda: self.store.figures().handed_over >= wanted, f"{len(payloads)} messages")
        self.rest()

    def rest(self, seconds: float = 60.0) -> dict[str, Any]:
        """Waits until nothing is pending, and returns the books."""
        wait_for(lambda: self.store.figures().pending_batches == 0, "the end of what is pending", seconds)
        books: dict[str, Any] = self.api("pipeline/")
        return books


class Device:
    """A plain MQTT client that publishes at QoS 1 and knows what was acknowledged."""

    def __init__(self, url: str) -> None:
        address = MqttAddress.parse(url)
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.max_inflight_messages_set(1000)
        self.client.connect(address.host, address.port)
        self.client.loop_start()

    def publish(self, *payloads: bytes | str, topic: str = "iot/measurements") -> None:
        """Returns once the broker has acknowledged them all."""
        sent = [self.client.publish(topic, payload, qos=1) for payload in payloads]
        for one in sent:
            one.wait_for_publish(30)
            assert one.is_published()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
