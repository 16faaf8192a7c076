"""What Mosquitto itself loses when it is killed with -9, by how often it saves, and what saving costs.

    python -m bench.broker_loss [--rounds 5]

Needs Debian's mosquitto. Each row of the table is deploy/mosquitto/mosquitto.conf with another way of
saving. Under 1,000 messages a second at QoS 1 the broker is killed and started again:

- the bridge there: a subscriber with a session that acknowledges at once; killed after 5 to 6 s;
- the bridge away: the subscriber's session exists, nobody takes what comes; killed after 10 to 11 s.

Lost is what the publisher has a PUBACK for and the subscriber never gets; sent twice, what it gets again.
Then, with 50,000 messages waiting, a publisher with 1,000 in flight counts its PUBACKs for 10 s.
"""

import argparse
import random
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from bench.publisher import packet

PROJECT = Path(__file__).parent.parent
TOPIC = b"iot/measurements"
RATE = 1000
BACKLOG = 50_000
SAVING = {
    "`autosave_interval 1` (as shipped)": "autosave_interval 1",
    "`autosave_interval 5`": "autosave_interval 5",
    "`autosave_interval 30`": "autosave_interval 30",
    "`autosave_on_changes true`, `autosave_interval 1`": "autosave_on_changes true\nautosave_interval 1",
}
NEVER = "autosave_interval 0"


class Mosquitto:
    """The shipped configuration, for one port on loopback and without users."""

    def __init__(self, folder: Path, saving: str) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.save(saving)

    def save(self, saving: str) -> None:
        """From its next start on."""
        shipped = (PROJECT / "deploy/mosquitto/mosquitto.conf").read_text()
        ours = re.sub(
            r"^(listener|allow|password|acl|persistence_l|autosave|log).*\n", "", shipped, flags=re.M
        )
        (self.folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence_location {self.folder}/\n"
            f"user root\nlog_type none\n{saving}\n{ours}"
        )

    def start(self) -> None:
        self.process = subprocess.Popen(
            [self.binary, "-c", str(self.folder / "mosquitto.conf")], stderr=subprocess.DEVNULL
        )
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit("mosquitto does not start") from None
                time.sleep(0.01)

    def stop(self) -> None:
        """Saves, and ends."""
        self.process.terminate()
        self.process.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Publisher:
    """Numbers from 0 on, at QoS 1. `acknowledged`: so many, from the first on, have their PUBACK."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(packet(0x10, b"\0\4MQTT\4\2\0\0\0\5board"))
        assert self.socket.recv(4)[3] == 0
        self.acknowledged = self.sent = 0
        self.counting = threading.Thread(target=self._count)
        self.counting.start()

    def _count(self) -> None:
        received = 0
        try:
            while data := self.socket.recv(65536):
                received += len(data)
                self.acknowledged = received // 4
        except OSError:
            pass

    def send(self, count: int) -> None:
        frames = (
            packet(
                0x32,
                len(TOPIC).to_bytes(2)
                + TOPIC
                + (number % 65535 + 1).to_bytes(2)
                + b'{"sensor_id": 3, "type": "light", "value": %d, "unit": "V"}' % number,
            )
            for number in range(self.sent, self.sent + count)
        )
        self.socket.sendall(b"".join(frames))
        self.sent += count

    def at_rate(self, seconds: float) -> None:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            if (due := int(passed * RATE) - self.sent) > 0:
                self.send(due)
            time.sleep(0.005)

    def at_once(self, *, until: int = 1 << 40, seconds: float = 600, in_flight: int = 1000) -> float:
        """PUBACKs a second, until so many were sent or so long has passed."""
        began, before = time.monotonic(), self.acknowledged
        while self.sent < until and time.monotonic() - began < seconds:
            if self.sent - self.acknowledged < in_flight:
                self.send(min(200, until - self.sent))
            else:
                time.sleep(0.0005)
        while until < 1 << 40 and self.acknowledged < until:
            time.sleep(0.001)
        return (self.acknowledged - before) / (time.monotonic() - began)

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.counting.join()
        self.socket.close()


class Subscriber:
    """The bridge's part: a session that outlives its connection, everything acknowledged at once."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.received: Counter[int] = Counter()
        self._ended = threading.Event()

    def connect(self) -> None:
        subscribed = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, "bridge", clean_session=False)
        self.client.on_message = self._take
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        self.client.subscribe(TOPIC.decode(), qos=1)
        assert subscribed.wait(60)

    def _take(self, client: Client, _: object, message: MQTTMessage) -> None:
        if message.payload == b"end":
            self._ended.set()
        else:
            self.received[int(message.payload.split()[5].rstrip(b","))] += 1

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def drain(self) -> None:
        """All that was waiting has come once what is published after it has."""
        self.client.publish(TOPIC.decode(), b"end", qos=1)
        assert self._ended.wait(300), "the broker does not deliver"
        self.close()


def killed(saving: str, *, bridge_is_there: bool) -> tuple[int, int, int]:
    """Acknowledged, lost, sent twice."""
    with tempfile.TemporaryDirectory(prefix="iot-broker-loss-") as name:
        broker = Mosquitto(Path(name), saving)
        broker.start()
        subscriber = Subscriber(broker.port)
        subscriber.connect()
        # A stop saves: the session is there from before, as a bridge's is.
        subscriber.close()
        broker.stop()
        broker.start()
        if bridge_is_there:
            subscriber.connect()
        publisher = Publisher(broker.port)
        publisher.at_rate((5 if bridge_is_there else 10) + random.random())
        broker.kill()
        publisher.counting.join()
        if bridge_is_there:
            subscriber.close()
        broker.start()
        subscriber.connect()
        subscriber.drain()
        broker.stop()
        lost = sum(subscriber.received[number] == 0 for number in range(publisher.acknowledged))
        return publisher.acknowledged, lost, sum(times > 1 for times in subscriber.received.values())


def rate_under_backlog(saving: str) -> float:
    with tempfile.TemporaryDirectory(prefix="iot-broker-loss-") as name:
        broker = Mosquitto(Path(name), NEVER)
        broker.start()
        subscriber = Subscriber(broker.port)
        subscriber.connect()
        subscriber.close()
        publisher = Publisher(broker.port)
        publisher.at_once(until=BACKLOG)
        publisher.close()
        broker.stop()
        broker.save(saving)
        broker.start()
        publisher = Publisher(broker.port)
        rate = publisher.at_once(seconds=10)
        broker.kill()
        publisher.counting.join()
        return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(
        "| saving | bridge there: lost; sent twice | bridge away for 10 s: lost | PUBACK/s, 50,000 waiting |"
    )
    print("|---|---|---|---|", flush=True)
    for name, saving in SAVING.items():
        there = [killed(saving, bridge_is_there=True) for _ in range(options.rounds)]
        away = [killed(saving, bridge_is_there=False) for _ in range(options.rounds)]
        rate = rate_under_backlog(saving)
        twice = spread([again for _, _, again in there])
        print(f"| {name} | {lost(there)}; {twice} | {lost(away)} | {rate:,.0f} |", flush=True)


def lost(runs: list[tuple[int, int, int]]) -> str:
    of = statistics.median(acknowledged for acknowledged, _, _ in runs)
    return f"{spread([lost for _, lost, _ in runs])} of {of:,.0f}"


def spread(counts: list[int]) -> str:
    return f"{statistics.median(counts):,.0f}, at most {max(counts):,}"


if __name__ == "__main__":
    main()
