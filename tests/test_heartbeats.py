"""Every process of the Procfile says that it lives, under a key of its own too."""

import os
import shlex
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from celery import Celery

from batches.store import BatchStore
from config.worker import Heartbeat
from monitoring.books import processes
from monitoring.store import pulse
from process.heartbeat import beat, is_beating, trouble
from tests.runner.running import free_port

PROJECT = Path(__file__).parents[1]


def test_a_pulse_is_of_the_kind_and_of_the_process(store: BatchStore) -> None:
    pulse("worker").beat()
    assert processes(store.redis) == {
        "bridge": False,
        "worker": True,
        "upkeep": False,
        "beat": False,
        "web": False,
    }
    assert trouble(store.redis, "worker") == ""
    store.redis.delete("iot:heartbeat:worker")
    assert not any(processes(store.redis).values()), "the key of one process is taken for its kind"


def test_the_books_say_whether_all_bridges_are_at_work(store: BatchStore) -> None:
    beat(store.redis, "bridge@plant")
    assert processes(store.redis)["bridge"] is True
    beat(store.redis, "bridge@hall")
    store.redis.delete("iot:heartbeat:bridge@plant")  # as its time runs out
    found = processes(store.redis)
    assert (found["bridge"], found["bridge@hall"], found["bridge@plant"]) == (False, True, False)


@pytest.mark.parametrize(
    ("queues", "beating"),
    [("ingest", {"worker"}), ("upkeep", {"upkeep"}), ("ingest,upkeep", {"worker", "upkeep"})],
)
def test_a_worker_beats_as_what_its_queues_make_it(store: BatchStore, queues: str, beating: set[str]) -> None:
    app = Celery(set_as_current=False)
    app.amqp.queues.select(queues.split(","))
    Heartbeat(SimpleNamespace(app=app)).beat()
    assert {name for name, works in processes(store.redis).items() if works} == beating


def test_flower_remembers_what_fits_and_asks_for_nothing_that_comes_anyway(settings: Any) -> None:
    code = (
        "from flower.command import apply_options, options;"
        "apply_options('flower', ['--conf=config/flower.py']);"
        "print(options.max_tasks, options.enable_events)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "10000 False\n", done.stderr
    assert settings.CELERY_WORKER_SEND_TASK_EVENTS is True


@contextmanager
def flower(store: BatchStore, **environment: str) -> Iterator[int]:
    """Flower as the Procfile has it, once it is at work; its port."""
    [line] = [line for line in (PROJECT / "Procfile").read_text().splitlines() if line.startswith("flower: ")]
    port = free_port()
    command = shlex.split(line.partition(": ")[2].replace("$FLOWER_PORT", str(port)))
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        cwd=PROJECT,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not is_beating(store.redis, "flower"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        assert process.wait(20) == 0


def test_flower_has_a_heartbeat(store: BatchStore) -> None:
    with flower(store):
        assert trouble(store.redis, "flower") == ""


def test_flower_is_for_this_machine_and_asks_for_its_password(store: BatchStore) -> None:
    """It shows payloads, and can stop workers."""
    with flower(store, FLOWER_PASSWORD="a-word") as port:
        request = Request(f"http://127.0.0.1:{port}/tasks")
        with pytest.raises(HTTPError) as refused:
            urlopen(request, timeout=30)
        assert refused.value.code == 401
        request.add_header("Authorization", "Basic " + b64encode(b"admin:a-word").decode())
        assert urlopen(request, timeout=30).status == 200
        # Another address of this machine stands for those that others reach it at.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=30)
