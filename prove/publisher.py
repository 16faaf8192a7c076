"""Publishes streams at a steady rate, at QoS 1, and writes down what the broker acknowledged."""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

from prove.streams import REPLAYED, SHARES, Stream

TOPIC = "iot/measurements"
IN_FLIGHT = 2_000


class Publisher(threading.Thread):
    """One device. `acknowledged`: stream's number → numbers whose every payload has its PUBACK.

    `rate` is of messages a second. The broker itself is not hurt, so in the end all of them are acknowledged.
    """

    def __init__(self, host: str, port: int, streams: Sequence[Stream], rate: float) -> None:
        super().__init__(name=f"publisher-{streams[0].number}", daemon=True)
        self.acknowledged: dict[int, list[int]] = {stream.number: [] for stream in streams}
        self.messages = 0
        self._streams, self._rate = streams, rate
        self._end = threading.Event()
        self._waiting: list[tuple[Stream, int, list[MQTTMessageInfo]]] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(IN_FLIGHT)
        connected = threading.Event()
        self._client.on_connect = lambda *_: connected.set()
        self._client.connect(host, port)
        self._client.loop_start()
        if not connected.wait(10):
            raise RuntimeError(f"no MQTT broker at {host}:{port}")

    def run(self) -> None:
        began = time.monotonic()
        for stream, number in self._numbers():
            payloads = stream.payloads(number)
            sent = [self._client.publish(TOPIC, payload, qos=1) for payload in payloads]
            self._waiting.append((stream, number, sent))
            self.messages += len(payloads)
            ahead = self.messages / self._rate - (time.monotonic() - began)
            if ahead > 0.01:
                self._note()
                if self._end.wait(ahead):
                    break
            elif self._end.is_set():
                break

    def _numbers(self) -> Iterator[tuple[Stream, int]]:
        by_kind = {type(stream): stream for stream in self._streams}
        turns = [
            by_kind[kind]
            for kind, share in (SHARES | REPLAYED).items()
            if kind in by_kind
            for _ in range(share)
        ]
        # One of each kind after the other, rather than all of one kind in a row.
        turns = [turns[place * 7 % len(turns)] for place in range(len(turns))] if len(turns) % 7 else turns
        counts = {stream.number: itertools.count() for stream in self._streams}
        for stream in itertools.cycle(turns):
            yield stream, next(counts[stream.number])

    def _note(self) -> None:
        """What was acknowledged meanwhile."""
        still = []
        for stream, number, sent in self._waiting:
            if all(one.is_published() for one in sent):
                self.acknowledged[stream.number].append(number)
            else:
                still.append((stream, number, sent))
        self._waiting = still

    def end(self, seconds: float = 120) -> None:
        """Publishes no more, and waits for what is not acknowledged yet."""
        self._end.set()
        self.join()
        deadline = time.monotonic() + seconds
        while self._waiting and time.monotonic() < deadline:
            for one in self._waiting[0][2]:
                one.wait_for_publish(1)
            self._note()
        self._client.disconnect()
        self._client.loop_stop()
        if self._waiting:
            raise RuntimeError(
                f"the broker did not acknowledge {len(self._waiting)} messages in {seconds:g} s"
            )
