"""A scripted broker, and bridges that end with their test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from bridge_process import BridgeProcess, Start
from scripted_broker import PersistentBroker, ScriptedBroker


@pytest.fixture
def broker() -> Iterator[ScriptedBroker]:
    with ScriptedBroker() as broker:
        yield broker


@pytest.fixture
def persistent_broker() -> Iterator[PersistentBroker]:
    with PersistentBroker() as broker:
        yield broker


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(MQTT_URL=...)` runs a bridge on the test worker's Redis, unless told otherwise."""
    running: list[BridgeProcess] = []

    def start(**environment: str) -> BridgeProcess:
        environment = {"REDIS_URL": os.environ["REDIS_URL"]} | environment
        running.append(BridgeProcess(tmp_path / f"bridge-{len(running)}.log", **environment))
        return running[-1]

    yield start
    for process in running:
        process.close()
