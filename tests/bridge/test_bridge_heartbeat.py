"""Heartbeats: of a kind of process, for pages; of one process, for its container's healthcheck."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bridge_process import Start
from scripted_broker import ScriptedBroker, until

from batches.store import BatchStore
from process.heartbeat import is_beating


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
