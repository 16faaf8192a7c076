"""The whole way over HTTP: published by a device, stored by the worker, read from the web process."""

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from monitoring.live.channel import News, channel
from tests.journey.system import Device, System, wait_for
from tests.live.conftest import STREAMS
from tests.live.watching import Event

pytestmark = pytest.mark.timeout(180)


class Watching:
    """GET /live/, read on a thread of its own."""

    def __init__(self, system: System, query: str = "ids=1,2,3") -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", system.web_port, timeout=60)
        self.connection.request("GET", f"/live/?{query}")
        self._socket = self.connection.sock
        self.answer = self.connection.getresponse()
        self.events: list[Event] = []
        self.has_ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        if self.answer.status == 200:
            self._thread.start()

    def _read(self) -> None:
        text = ""
        with suppress(OSError, http.client.HTTPException, AttributeError, ValueError):
            while line := self.answer.readline():
                text += line.decode()
                if text.endswith("\n\n"):
                    self.events.append(Event.read(text.rstrip("\n")))
                    text = ""
            self.has_ended = True

    def named(self, name: str) -> list[Any]:
        return [event.data for event in tuple(self.events) if event.name == name]

    def values(self, sensor_id: int) -> list[float]:
        return [
            v for data in self.named("m") for s, v in zip(data["s"], data["v"], strict=True) if s == sensor_id
        ]

    def last_id(self) -> int:
        return max(event.id for event in tuple(self.events) if event.id is not None)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join(10)
        self.connection.close()


@contextmanager
def watching(system: System, query: str = "ids=1,2,3", *, settled: bool = True) -> Iterator[Watching]:
    """`settled`: once it lacks nothing any more."""
    viewer = Watching(system, query)
    try:
        if settled:
            wait_for(
                lambda: viewer.named("resync") or any(event.id for event in viewer.events), "the first id"
            )
        yield viewer
    finally:
        viewer.close()


def reading(sensor: int, value: float) -> str:
    return json.dumps({"sensor_id": sensor, "value": value})


def test_a_reading_is_seen_when_it_is_stored(system: System, device: Device) -> None:
    with watching(system, "ids=1,3&topics=counts,pipeline,stored", settled=False) as viewer:
        assert viewer.answer.getheader("Content-Type") == "text/event-stream; charset=utf-8"
        assert viewer.answer.getheader("Cache-Control") == "no-store, no-transform"
        assert viewer.answer.getheader("Content-Encoding") is None
        wait_for(lambda: viewer.named("hello"), "hello")
        device.publish(reading(1, 20.5), reading(2, 50), reading(3, 2.5))
        wait_for(lambda: viewer.values(1) and viewer.values(3), "the values")
        (stored,) = system.query("SELECT created_at FROM monitoring_measurement WHERE sensor_id = 1")
        found = {s: (t, v) for m in viewer.named("m") for s, t, v in zip(m["s"], m["t"], m["v"], strict=True)}
        assert found[1] == (round(1_000_000 * stored[0].timestamp()), 20.5)
        assert 2 not in found
        wait_for(lambda: viewer.named("pipeline")[-1]["ledger"]["stored"] == 3, "the books")
        wait_for(lambda: sum(viewer.named("status")[-1].get("counts", {}).values()) == 3, "the counts")


def test_a_cut_costs_nothing(system: System, device: Device) -> None:
    with watching(system) as stays:
        with watching(system) as viewer:
            device.publish(reading(1, 1))
            wait_for(lambda: 1 in viewer.values(1), "the value")
            after = viewer.last_id()
        # A replay needs a hub that has listened since two seconds before.
        wait_for(lambda: stays.last_id() > stays.named("hello")[0]["now"] + 5000, "some seconds of listening")
        after = stays.last_id()
        for value in (2, 3):
            device.publish(reading(1, value))
            wait_for(lambda value=value: value in stays.values(1), "the value, to others")
        with watching(system, f"ids=1,2,3&after={after}") as back:
            wait_for(lambda: back.values(1)[-2:] == [2, 3], "what was missed")
            assert back.named("resync") == []


def test_a_process_that_was_killed_says_what_to_fetch(system: System, device: Device) -> None:
    with watching(system) as viewer:
        after = viewer.last_id()
        system.kill("web")
    device.publish(reading(1, 77))
    wait_for(lambda: system.store.figures().pending_batches == 0, "its being stored")
    system.start("web")
    with watching(system, f"ids=1&after={after}") as back:
        wait_for(lambda: back.named("resync"), "resync")
        (found,) = back.named("resync")
        assert found["from"] <= after
        missed = system.api(f"sensors/1/measurements/?from={found['from'] / 1000}")
        assert 77 in [one["value"] for one in missed]
        device.publish(reading(1, 78))
        wait_for(lambda: 78 in back.values(1), "what comes after")


def test_it_heals_when_redis_comes_back(system: System, device: Device) -> None:
    with watching(system) as viewer:
        system.redis.stop()
        wait_for(lambda: viewer.named("stale"), "the word that it is stale")
        system.redis.start()
        before = len(viewer.named("resync"))
        wait_for(lambda: len(viewer.named("resync")) > before, "the resync")
        device.publish(reading(2, 66))
        wait_for(lambda: 66 in viewer.values(2), "a value")


def test_a_stop_is_not_held_up(system: System) -> None:
    with watching(system) as viewer, watching(system) as other:
        system.terminate("web")
        for one in (viewer, other):
            wait_for(lambda one=one: one.has_ended, "the end of the answer")
            assert one.named("bye") == [{"why": "restart"}]
    assert "Cancel" not in system.log("web"), "uvicorn did not have to give anything up"
    system.start("web")


def test_streams_leave_the_site_its_connections(system: System) -> None:
    viewers = [Watching(system) for _ in range(STREAMS)]
    try:
        for viewer in viewers:
            wait_for(lambda viewer=viewer: viewer.named("hello"), "hello")
        for _ in range(20):
            assert system.api("sensors/1/")["id"] == 1
        refused = Watching(system)
        assert refused.answer.status == 503
        assert int(refused.answer.getheader("Retry-After", "")) > 0
        refused.connection.close()
        asks = Watching(system, "ids=1&once=1")
        wait_for(lambda: asks.has_ended, "the end of what is asked once")
        asks.close()
    finally:
        for viewer in viewers:
            viewer.close()
    wait_for(lambda: Watching(system).answer.status == 200, "a place")


def memory(system: System) -> int:
    """KiB that the web process holds."""
    status = Path(f"/proc/{system.processes['web'].pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0])


def test_who_does_not_read_is_told_so_and_costs_no_memory(system: System) -> None:
    """Frames of a megabyte: a status may be any text."""
    redis = system.store.redis
    large = dict.fromkeys(range(100, 200), "x" * 10_000)
    ids = ",".join(map(str, large))
    with watching(system, f"ids={ids}") as quick, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(30)
        slow.connect(("127.0.0.1", system.web_port))
        slow.sendall(f"GET /live/?ids={ids} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        data = b""
        while b"event: hello" not in data:
            data += slow.recv(1024)
        frames, before = len(quick.named("status")), 0
        for number in range(1, 19):
            redis.publish(channel(redis), News(changed=large).pack())
            wait_for(lambda number=number: len(quick.named("status")) >= frames + number, "a frame", 60)
            if number == 5:
                before = memory(system)
        # Thirteen megabytes more came, and are kept once, for whoever comes back within a minute.
        assert memory(system) - before < 19 * 1024
        data = b""
        while b"event: resync" not in data:
            data += slow.recv(2**20)
        assert len(data) < 8 * 2**20, "nor did anybody keep all of it for it"
