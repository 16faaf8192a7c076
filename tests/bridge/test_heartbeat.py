"""Heartbeats: of a kind of process, for pages; of one process, for its container's healthcheck."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from bridge_process import Start
from scripted_broker import ScriptedBroker, until

from batches.store import BatchStore
from process.heartbeat import beat, bridge_process, is_beating, own_key, trouble


def check(process: str, **environment: str) -> tuple[int, str]:
    """The healthcheck's exit code, and what it said."""
    done = subprocess.run(
        [sys.executable, "-SE", "deploy/healthcheck.py", "beat", process],
        cwd=Path(__file__).parents[2],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_it_works(store: BatchStore) -> None:
    assert not is_beating(store.redis, "worker")
    assert "no heartbeat" in trouble(store.redis, "worker")
    beat(store.redis, "worker")
    assert is_beating(store.redis, "worker")
    assert trouble(store.redis, "worker") == ""
    for key in ("iot:heartbeat:worker", f"iot:heartbeat:worker:{socket.gethostname()}"):
        assert 0 < store.redis.ttl(key) <= 20


def test_one_worker_of_several_is_told_from_the_others(store: BatchStore) -> None:
    beat(store.redis, "worker")
    store.redis.set(own_key("worker", "another-container"), "ok", ex=20)
    store.redis.delete(own_key("worker"))
    assert is_beating(store.redis, "worker")
    assert trouble(store.redis, "worker", "another-container") == ""
    assert trouble(store.redis, "worker")


def test_the_key_of_one_process_does_not_stand_for_its_kind(store: BatchStore) -> None:
    store.redis.set(own_key("worker"), "ok")
    assert not is_beating(store.redis, "worker")


def test_one_in_trouble_is_alive_and_not_at_work(store: BatchStore) -> None:
    beat(store.redis, "bridge", "the broker refuses the subscription to a")
    assert not is_beating(store.redis, "bridge")
    assert trouble(store.redis, "bridge") == "the broker refuses the subscription to a"


def test_a_bridge_named_like_a_host_is_none(store: BatchStore) -> None:
    beat(store.redis, bridge_process(socket.gethostname()))
    assert not is_beating(store.redis, "bridge")
    assert trouble(store.redis, "bridge")


def test_the_bridge_beats_also_while_the_broker_is_away(start: Start, store: BatchStore) -> None:
    start(MQTT_URL="mqtt://127.0.0.1:1")
    until(lambda: is_beating(store.redis, "bridge"), "the heartbeat")
    assert check("bridge") == (0, "")


def test_the_healthcheck_of_a_named_bridge(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    start(MQTT_URL=broker.url, BRIDGE_NAME="two")
    broker.connection()
    until(lambda: is_beating(store.redis, "bridge@two"), "the heartbeat")
    assert check("bridge", BRIDGE_NAME="two") == (0, "")
    code, said = check("bridge")
    assert (code, said) == (1, "bridge: no heartbeat\n")


@pytest.mark.parametrize("environment", [{"REDIS_URL": "redis://127.0.0.1:1/0"}, {"REDIS_URL": "nonsense"}])
def test_it_handles_a_redis_that_does_not_answer(environment: dict[str, str]) -> None:
    code, said = check("worker", **environment)
    assert code == 1
    assert said.count("\n") == 1
    assert "REDIS_URL" in said
