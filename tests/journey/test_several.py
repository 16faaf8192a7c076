"""Two bridges, each with its topics, and three workers, one of each killed on the way."""

from pathlib import Path

import pytest

from tests.journey.system import Device, System, wait_for
from tests.journey.test_restarts import Stream

pytestmark = pytest.mark.timeout(240)
WORKERS = ("worker1", "worker2", "worker3")


def start_bridge(system: System, name: str) -> None:
    system.start("bridge", f"bridge@{name}", BRIDGE_NAME=name, MQTT_TOPICS=f"iot/{name}/#")


def test_two_bridges_and_three_workers(tmp_path: Path) -> None:
    system = System(tmp_path)
    try:
        for name in ("upkeep", "beat", "web"):
            system.start(name)
        for name in ("hall", "roof"):
            start_bridge(system, name)
        for worker in WORKERS:
            system.start("worker", worker)
        streams = [
            Stream(Device(system.broker.url), f"iot/{name}/measurements", sensor)
            for sensor, name in ((1, "hall"), (2, "roof"))
        ]
        for stream in streams:
            stream.start()
        for worker in WORKERS:
            wait_for(lambda worker=worker: "stored" in system.log(worker), f"{worker} at work")
        system.kill("worker1")
        system.kill("bridge@hall")
        start_bridge(system, "hall")
        more = [stream.sent + 300 for stream in streams]
        wait_for(
            lambda: all(s.sent >= n for s, n in zip(streams, more, strict=True)), "messages after the kills"
        )
        sent = [stream.end() for stream in streams]
        rows = "SELECT sensor_id::int, count(*)::int FROM monitoring_measurement GROUP BY 1 ORDER BY 1"
        wait_for(lambda: system.query(rows) == [(1, sent[0]), (2, sent[1])], "every reading, once", 60)
        books = system.rest()
        assert books["balanced"]
        assert books["ledger"]["rejected"] == 0
        assert books["processes"]["bridge@hall"]
        assert books["processes"]["bridge@roof"]
        sources = system.query("SELECT DISTINCT source FROM monitoring_ingestbatch ORDER BY 1")
        assert sources == [("mqtt:hall",), ("mqtt:roof",)]
    finally:
        system.stop()
