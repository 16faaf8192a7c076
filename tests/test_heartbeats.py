"""Every process of the Procfile says that it lives, under a key of its own too."""

import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

from batches.store import BatchStore
from monitoring.books import processes
from monitoring.store import pulse
from process.heartbeat import is_beating, trouble

PROJECT = Path(__file__).parents[1]


def test_a_pulse_is_of_the_kind_and_of_the_process(store: BatchStore) -> None:
    pulse("worker").beat()
    assert processes(store.redis) == {"bridge": False, "worker": True, "beat": False, "web": False}
    assert trouble(store.redis, "worker") == ""
    store.redis.delete("iot:heartbeat:worker")
    assert not any(processes(store.redis).values()), "the key of one process is taken for its kind"


def test_flower_has_a_heartbeat(store: BatchStore) -> None:
    [line] = [line for line in (PROJECT / "Procfile").read_text().splitlines() if line.startswith("flower: ")]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = shlex.split(line.partition(": ")[2].replace("$FLOWER_PORT", str(port)))
    flower = subprocess.Popen(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        cwd=PROJECT,
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not is_beating(store.redis, "flower"):
            assert flower.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert trouble(store.redis, "flower") == ""
    finally:
        flower.terminate()
        assert flower.wait(20) == 0
