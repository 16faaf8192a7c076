"""Each part killed with -9, one after the other, while messages come in: nothing lost, nothing doubled."""

import json
import threading
import time
from collections.abc import Callable

import pytest

from tests.journey.system import Device, System, wait_for

pytestmark = pytest.mark.timeout(240)


class Stream(threading.Thread):
    """Publishes numbered readings with a time of their own, 100 at a go, until told to stop."""

    def __init__(self, device: Device, topic: str = "iot/measurements", sensor: int = 1) -> None:
        super().__init__(daemon=True)
        self.device, self.topic, self.sensor = device, topic, sensor
        self.sent = 0
        self.start_ts = round(time.time()) - 50_000
        self._told_to_end = threading.Event()

    def run(self) -> None:
        while not self._told_to_end.wait(0.02):
            self.device.publish(
                *(
                    json.dumps({"sensor_id": self.sensor, "value": number % 40, "ts": self.start_ts + number})
                    for number in range(self.sent, self.sent + 100)
                ),
                topic=self.topic,
            )
            self.sent += 100

    def end(self) -> int:
        self._told_to_end.set()
        self.join(60)
        assert not self.is_alive()
        return self.sent


def kill_and_start(name: str) -> Callable[[System], None]:
    def act(system: System) -> None:
        system.kill(name)
        system.start(name)

    return act


def restart_redis(system: System) -> None:
    system.redis.kill()
    system.redis.start()


def restart_postgres(system: System) -> None:
    system.postgres.kill()
    system.postgres.start()


@pytest.mark.parametrize(
    "act",
    [
        kill_and_start("bridge"),
        kill_and_start("worker"),
        kill_and_start("beat"),
        restart_redis,
        restart_postgres,
    ],
    ids=["bridge", "worker", "beat", "redis", "postgres"],
)
def test_nothing_is_lost_and_nothing_doubled(
    system: System, device: Device, act: Callable[[System], None]
) -> None:
    system.query("DELETE FROM monitoring_measurement RETURNING 1")
    stream = Stream(device)
    stream.start()
    wait_for(lambda: system.query("SELECT count(*) FROM monitoring_measurement")[0][0], "the first rows")

    act(system)
    handed_over = wait_for(lambda: system.store.figures().handed_over, "Redis")
    wait_for(lambda: system.store.figures().handed_over > handed_over, "messages after the restart")
    sent = stream.end()

    wait_for(
        lambda: system.query("SELECT count(*) FROM monitoring_measurement")[0][0] >= sent,
        f"{sent} rows",
        60,
    )
    books = system.rest()
    rows = system.query("SELECT count(*), count(DISTINCT created_at) FROM monitoring_measurement")
    assert rows == [(sent, sent)]
    assert books["balanced"] is True


def test_the_worker_outlives_redis_again_and_again(system: System, device: Device) -> None:
    """Redis dies while tasks run, and each of them fails with a long traceback."""
    worker = system.processes["worker"]
    log = len(system.log("worker"))
    stream = Stream(device)
    stream.start()
    for _ in range(5):
        rows = system.query("SELECT count(*) FROM monitoring_measurement")[0][0]
        wait_for(
            lambda rows=rows: system.query("SELECT count(*) FROM monitoring_measurement")[0][0] > rows + 500,
            "rows under load",
        )
        restart_redis(system)
    stream.end()
    system.rest()
    assert worker.poll() is None
    assert "Unrecoverable" not in system.log("worker")[log:]
