"""From a plain MQTT client to the API, through every real part."""

import contextlib
import json
import re
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest

from monitoring.decoders.json.examples import load
from tests.journey.system import Device, System, wait_for
from tests.runner.running import free_port

pytestmark = pytest.mark.timeout(240)


def test_it_works(system: System, device: Device) -> None:
    before = datetime.now(UTC)
    device.publish('{"sensor_id": 3, "type": "light", "value": 2.57, "unit": "V"}')

    last = wait_for(lambda: system.api("sensors/3/last/"), "the measurement in the API")

    created_at = last.pop("created_at")
    assert last == {"sensor": 3, "value": 2.57, "unit": "V"}
    assert created_at.endswith("Z")
    assert before <= datetime.fromisoformat(created_at) <= datetime.now(UTC)


def test_every_process_says_that_it_lives(system: System) -> None:
    assert system.api("pipeline/")["processes"] == {
        "bridge": True,
        "worker": True,
        "upkeep": True,
        "beat": True,
        "web": True,
    }


def test_the_shell_shows_the_newest(system: System, device: Device) -> None:
    system.take(device, '{"sensor_id": 1, "value": 20.25}')
    shown = system.manage(
        "shell",
        "-c",
        "from monitoring.models import Sensor, Measurement;"
        'print(list(Measurement.objects.order_by("-created_at")[:5]))',
    )
    assert "20.25 °C" in shown


def test_who_falls_silent_is_seen_and_who_comes_back(system: System, device: Device) -> None:
    def is_now(status: str) -> bool:
        return bool(system.api("sensors/1/")["status"] == status)

    system.take(device, '{"sensor_id": 1, "value": 20.5}')
    wait_for(lambda: is_now("ok"), "a sensor that sends")
    every = "from monitoring.models import Sensor; Sensor.objects.filter(pk=1).update(expected_interval_s=%s)"
    system.manage("shell", "-c", every % 1)
    wait_for(lambda: is_now("silent"), "a sensor that is silent", 60)
    system.take(device, '{"sensor_id": 1, "value": 20.75}')
    wait_for(lambda: is_now("ok"), "a sensor that is back")
    system.manage("shell", "-c", every % None)


def test_a_board_says_that_it_is_online(system: System, device: Device) -> None:
    device.publish("online", topic="iot/status/esp32-1")
    device.publish('{"sensor_id": 2, "value": 40.5}', topic="iot/measurements")
    [board] = wait_for(lambda: system.api("boards/"), "the board")
    assert (board["name"], board["online"], board["sensors"]) == ("esp32-1", True, [])
    assert system.rest()["balanced"] is True


def test_every_message_that_cannot_be_stored_can_be_seen(system: System, device: Device) -> None:
    """The decoders' examples over MQTT, each with a valid neighbour before and after."""
    # The others need a clock, a sensor or a retained flag of their own; tests/ingest has them.
    examples = [
        one
        for one in load()
        if one.rejected
        and not one.readings
        and not one.needs_its_clock
        and not one.retained
        and one.sensor is not None
        and (one.sensor.id, one.sensor.kind, one.sensor.unit, one.sensor.is_active) == (3, "light", "V", True)
    ]
    assert len({code.code for one in examples for code in one.rejected}) >= 10
    stored = system.rest()["ledger"]["stored"]
    begun = system.query("SELECT now()")[0][0]
    start = time.time() - 1000
    payloads: list[bytes] = []
    for place, example in enumerate(examples):
        payloads += [json.dumps({"sensor_id": 2, "value": 40, "ts": start + place}).encode(), example.message]

    device.publish(*payloads)
    wait_for(
        lambda: (
            system.query("SELECT count(*) FROM monitoring_rejectedmessage WHERE received_at >= %s", begun)[0][
                0
            ]
            >= len(examples)
        ),
        "the rejected messages",
    )
    books = system.rest()

    assert books["ledger"]["stored"] == stored + len(examples)
    expected = sorted(str(one.code) for example in examples for one in example.rejected)
    codes = system.query("SELECT code FROM monitoring_rejectedmessage WHERE received_at >= %s", begun)
    assert sorted(code for (code,) in codes) == expected
    assert books["balanced"] is True


def test_late_and_out_of_order_messages_take_their_place(system: System, device: Device) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    moments = [now - timedelta(days=days) for days in (200, 3, 90, 1, 199)]
    system.take(
        device,
        *(json.dumps({"sensor_id": 2, "value": 50, "ts": moment.isoformat()}) for moment in moments),
    )
    since = (now - timedelta(days=201)).timestamp()
    until = (now - timedelta(hours=12)).timestamp()
    found = system.api(f"sensors/2/measurements/?from={since}&to={until}")
    assert [datetime.fromisoformat(one["created_at"]) for one in found] == sorted(moments, reverse=True)


def test_every_process_says_when_in_one_zone(system: System, device: Device) -> None:
    system.start("flower", FLOWER_PORT=str(free_port()))
    wait_for(lambda: "Connected to" in system.log("flower"), "a line of Flower's")
    system.terminate("flower")
    system.take(device, '{"sensor_id": 1, "value": 20.5}')
    for name in ("bridge", "worker", "upkeep", "beat", "flower"):
        said = system.log(name).splitlines()
        assert said or name == "beat", name  # it has nothing to say where all goes well
        for line in said:
            assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+05:45 (INFO|WARNING|ERROR) ", line), (
                name,
                line,
            )


def test_in_french_the_lines_of_the_older_system(system: System, device: Device) -> None:
    for name in ("bridge", "worker"):
        assert system.terminate(name) == 0
        system.start(name, LANGUAGE_CODE="fr")
    try:
        device.publish('{"sensor_id": 3, "value": 1.25}')
        wait_for(lambda: "Mesure enregistrée" in system.log("worker"), "the worker's line")
        assert 'Message reçu : {"sensor_id": 3, "value": 1.25}' in system.log("bridge")
        assert "MQTT connecté avec le code : 0" in system.log("bridge")
    finally:
        for name in ("bridge", "worker"):
            system.terminate(name)
            system.start(name)


def test_a_stranger_cannot_have_a_huge_body_stored(system: System) -> None:
    """Nobody asked for it: at a path for all, without a token."""
    head = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\n"
    with socket.create_connection(("127.0.0.1", system.web_port), timeout=30) as connection:
        connection.sendall(head + b"Content-Length: 99999999999\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"at most 2621440 bytes are taken" in answer

    # One that does not say how long it is. It is cut off; the answer may be lost in what it still sends.
    sent, much = 0, 200 * 2**20
    web = ("127.0.0.1", system.web_port)
    with socket.create_connection(web, timeout=30) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        while sent < much:
            connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            sent += 0x10000
    assert sent < much
    assert system.get("/healthz", raw=True)
    assert "Traceback" not in system.log("web")
