"""The loop's thread alone writes to the broker: what other threads have for it, they leave there."""

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

    monkeypatch.setattr(FrameSocket, "send", noted)
    # Only a process's first thread may ask for signals, and that one is pytest's.
    monkeypatch.setattr("bridge.receiver.signal.signal", lambda number, handler: None)
    monkeypatch.setenv("MQTT_URL", broker.url)
    receiver = Receiver(BridgeSettings.from_environment())
    loop = threading.Thread(target=receiver.run)
    loop.start()
    try:
        connection = broker.connection()
        for mid in range(1, 101):
            connection.publish(b"%d" % mid, mid)
        connection.wait_for_acks(*range(1, 101))
    finally:
        receiver._stop_by_signal(signal.SIGTERM, None)
        loop.join()
    assert len(payloads(store)) == 100
    assert writers == {loop}
