"""The load: boards that publish numbered readings at QoS 1, each with a time of its own, and remember
which of them the broker acknowledged."""

import json
import ssl
import threading
import time
from pathlib import Path
from typing import NamedTuple

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

from deploy.test.installation import Installation
from deploy.test.transcript import Failure, wait_for

# Between two readings of a board.
SECONDS_APART = 0.01
CYCLE = 97


class Account(NamedTuple):
    """A user of the broker, the topic that they write, and the sensor that their readings are of."""

    user: str
    password: str
    topic: str
    sensor: int


class Board(threading.Thread):
    def __init__(self, account: Account, port: int, ca: Path | None = None) -> None:
        super().__init__(daemon=True)
        self.account = account
        # An hour ago: no reading without a time, which gets the present one, takes the same place.
        self.first_ms = round((time.time() - 3600) * 1000)
        self.sent: list[MQTTMessageInfo] = []
        self._told_to_end = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, f"board-{account.user}", clean_session=False)
        self.client.username_pw_set(account.user, account.password)
        if ca is not None:
            self.client.tls_set(str(ca), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self.client.max_inflight_messages_set(1000)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect_async("127.0.0.1" if ca is None else "localhost", port)

    def ms(self, number: int) -> int:
        """Unix milliseconds at which reading `number` says it was taken."""
        return self.first_ms + number * 10

    def run(self) -> None:
        self.client.loop_start()
        while not self._told_to_end.wait(SECONDS_APART):
            number = len(self.sent)
            payload = {
                "sensor_id": self.account.sensor,
                "value": number % CYCLE,
                "ts": self.ms(number) / 1000,
            }
            self.sent.append(self.client.publish(self.account.topic, json.dumps(payload), qos=1))

    def end(self) -> None:
        """Publishes no more, and waits until the broker has acknowledged all."""
        self._told_to_end.set()
        self.join()
        wait_for(lambda: all(info.is_published() for info in self.sent), "the broker's last PUBACKs", 60)
        self.client.disconnect()
        self.client.loop_stop()


class Outcome(NamedTuple):
    acknowledged: int
    lost: int
    doubled: int
    changed: int


class Load:
    def __init__(self, installation: Installation, accounts: list[Account], ca: Path | None = None) -> None:
        port = installation.mqtt_port if ca is None else installation.mqtts_port
        self.installation = installation
        self.boards = [Board(account, port, ca) for account in accounts]
        self.began = time.monotonic()

    def start(self) -> None:
        for board in self.boards:
            board.start()

    def sent(self) -> int:
        return sum(len(board.sent) for board in self.boards)

    def rate(self) -> float:
        return self.sent() / (time.monotonic() - self.began)

    def end(self) -> None:
        for board in self.boards:
            board.end()

    def outcome(self) -> Outcome:
        """Holds each acknowledged reading against the rows: there, once, with its value."""
        acknowledged = lost = doubled = changed = 0
        for board in self.boards:
            stored: dict[int, list[float]] = {}
            for ms, value in self.installation.sql(
                "SELECT round(extract(epoch FROM created_at) * 1000)::bigint, value"
                f" FROM monitoring_measurement WHERE sensor_id = {board.account.sensor}"
                f" AND created_at >= to_timestamp({board.ms(0) / 1000:.3f})"
                f" AND created_at <= to_timestamp({board.ms(len(board.sent)) / 1000:.3f})"
            ):
                stored.setdefault(int(ms), []).append(float(value))
            for number, info in enumerate(board.sent):
                if not info.is_published():
                    continue
                acknowledged += 1
                values = stored.get(board.ms(number), [])
                lost += not values
                doubled += len(values) > 1
                changed += values[:1] not in ([], [float(number % CYCLE)])
        return Outcome(acknowledged, lost, doubled, changed)


def add_device(installation: Installation, name: str, sensor: int) -> Account:
    """By deploy/add-device, which makes the password and prints it."""
    line = installation.shell(f"deploy/add-device {name}")
    words = line.replace(",", "").split()
    if words[:2] != ["user", name] or len(words) != 6:
        raise Failure(f"deploy/add-device printed: {line}")
    return Account(name, words[3], words[5], sensor)
