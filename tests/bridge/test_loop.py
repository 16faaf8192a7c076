"""The loop's thread alone writes to the broker: what other threads have for it, they leave there."""

import os
import signal
import threading

import pytest
from bridge_process import payloads
from scripted_broker import ScriptedBroker

from batches.store import BatchStore
from bridge.frames import FrameSocket
from bridge.receiver import Receiver
from bridge.settings import BridgeSettings


def test_whatever_is_written_is_written_by_the_loop(
    broker: ScriptedBroker, store: BatchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """paho writes at once, from whatever thread: two would write into each other's packets."""
    writers: set[threading.Thread] = set()
    send = FrameSocket.send

    def noted(self: FrameSocket, data: bytes) -> int:
        writers.add(threading.current_thread())
        return send(self, data)

    def come_and_go() -> None:
        try:
            connection = broker.connection()
            for mid in range(1, 101):
                connection.publish(b"%d" % mid, mid)
            connection.wait_for_acks(*range(1, 101))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(FrameSocket, "send", noted)
    monkeypatch.setenv("MQTT_URL", broker.url)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        assert Receiver(BridgeSettings.from_environment()).run() == 0
    finally:
        other.join()
        for number, handler in before.items():
            signal.signal(number, handler)
    assert len(payloads(store)) == 100
    assert writers == {threading.main_thread()}
