"""Redis away, full, or owned by somebody else: nothing is acknowledged that it does not hold."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from bridge_process import Start, payloads
from scripted_broker import ScriptedBroker, until

import bridge.hand_over
from batches.batch import Batch, Message, time_ordered_id
from batches.dispatch import celery_app
from batches.names import Bridge, Names
from batches.store import BatchStore, Receipt
from bridge.hand_over import HandOver
from bridge.owner import Owner, _started
from bridge.window import HELD_MOST_BYTES
from process.heartbeat import is_beating
from runner.services import Redis


def batch(*payloads: bytes) -> Batch:
    return Batch(time_ordered_id(), "test", [Message(place, "t", one) for place, one in enumerate(payloads)])


def test_redis_killed_in_mid_flight(start: Start, broker: ScriptedBroker, own_redis: Redis) -> None:
    store = BatchStore.at(own_redis.url, 2**28)
    bridge = start(MQTT_URL=broker.url, REDIS_URL=own_redis.url)
    connection = broker.connection()
    connection.publish(b"0", mid=60_000)
    connection.wait_for_acks(60_000)
    own_redis.kill()
    connection.send(b"".join(connection.frame(b"%d" % mid, mid) for mid in range(1, 4001)))
    bridge.wait_for_line("cannot hand over")
    assert connection.acked == [60_000]
    own_redis.start()
    connection.wait_for_acks(60_000, *range(1, 4001))
    assert payloads(store) == [b"%d" % mid for mid in range(4001)]
    assert store.figures().handed_over == 4001
    bridge.wait_for_line("handing over again")


def test_a_redis_that_is_frozen_is_not_waited_for(
    start: Start, broker: ScriptedBroker, own_redis: Redis
) -> None:
    """Its connections stand, and nothing comes."""
    bridge = start(MQTT_URL=broker.url, REDIS_URL=own_redis.url)
    connection = broker.connection()
    os.kill(own_redis.pid or 0, signal.SIGSTOP)
    try:
        connection.publish(b"x", mid=1)
        bridge.wait_for_line("cannot hand over")
        assert connection.acked == []
    finally:
        os.kill(own_redis.pid or 0, signal.SIGCONT)
    connection.wait_for_acks(1)
    assert payloads(BatchStore.at(own_redis.url, 2**28)) == [b"x"]


def test_a_full_window_does_not_keep_it_from_connecting_again(
    start: Start, broker: ScriptedBroker, own_redis: Redis
) -> None:
    store = BatchStore.at(own_redis.url, 2**28)
    bridge = start(MQTT_URL=broker.url, REDIS_URL=own_redis.url, MQTT_RECEIVE_WINDOW="2000")
    first = broker.connection()
    own_redis.kill()
    first.send(b"".join(first.frame(b"%d" % mid, mid) for mid in range(1, 2001)))
    bridge.wait_for_line("cannot hand over")
    bridge.wait_for_line("messages received in")
    first.break_off()
    second = broker.connection(1)
    assert second.version == 5
    second.send(b"".join(second.frame(b"%d" % mid, mid, dup=True) for mid in range(1, 2001)))
    own_redis.start()
    second.wait_for_acks(*range(1, 2001))
    assert len(payloads(store)) == 2000


def test_what_is_held_is_bounded(start: Start, broker: ScriptedBroker, own_redis: Redis) -> None:
    """QoS 0 knows no window: past a bound, its messages stay in the socket."""
    bridge = start(MQTT_URL=broker.url, REDIS_URL=own_redis.url)
    connection = broker.connection()
    own_redis.kill()
    connection.publish(b"x", mid=1)
    bridge.wait_for_line("cannot hand over")
    flood = connection.frame(b"x" * 16_000) * 10
    enough = threading.Event()
    sent = [0]

    def pour() -> None:
        while not enough.is_set():
            connection.send(flood)
            sent[0] += len(flood)

    before = resident(bridge.process.pid)
    thread = threading.Thread(target=pour, daemon=True)
    thread.start()
    until(lambda: sent[0] > HELD_MOST_BYTES and not_growing(bridge.process.pid), "its memory to stay")
    assert resident(bridge.process.pid) - before < 150 * 2**20
    # What it holds, and what lies in the buffers of two sockets.
    assert sent[0] < HELD_MOST_BYTES + 24 * 2**20
    enough.set()
    own_redis.start()
    thread.join(30)
    connection.publish(b"y", mid=2)
    connection.wait_for_acks(1, 2)
    assert len(broker.attempts) == 1


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def not_growing(pid: int) -> bool:
    before = resident(pid)
    time.sleep(0.5)
    return resident(pid) - before < 2**20


def test_a_full_store_makes_it_hold_then_go_on(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    first = batch(b"x" * 1_000_000)
    store.hand_over(first, Receipt("r", ""))
    bridge = start(MQTT_URL=broker.url, BATCHES_MAX_BYTES=str(2**20))
    connection = broker.connection()
    for mid in range(1, 11):
        connection.publish(b"y" * 10_000, mid)
    bridge.wait_for_line("BATCHES_MAX_BYTES")
    until(lambda: is_beating(store.redis, "bridge"), "the heartbeat")
    assert len(connection.acked) < 10
    store.done(first.id)
    connection.wait_for_acks(*range(1, 11))
    assert payloads(store) == [b"y" * 10_000] * 10


def test_the_heartbeat_goes_on_while_the_store_is_full(
    store: BatchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge.hand_over, "INTERVAL_SECONDS", 0.05)
    store.max_bytes = 10
    claim = Bridge("b", Names(store.redis).take_over("b", "client", "token"), "token")
    thread = HandOver(
        store,
        celery_app(os.environ["REDIS_URL"]),
        claim,
        "bridge",
        on_durable=lambda batch: None,
        on_forgotten=lambda: None,
        on_lost_ownership=lambda why: None,
        on_failed=lambda: None,
        loop_turns=lambda: True,
    )
    thread.put((batch(b"x" * 100), b""))
    thread.start()
    until(lambda: is_beating(store.redis, "bridge"), "the first beat")
    for _ in range(2):
        store.redis.delete("iot:heartbeat:bridge")
        until(lambda: is_beating(store.redis, "bridge"), "another beat")
    thread.stop(0.1)
    thread.join(30)
    assert not thread.is_alive()


def test_topics_count_into_the_size_of_a_batch(
    start: Start, broker: ScriptedBroker, own_redis: Redis, own_store: BatchStore
) -> None:
    """Else a batch of long topics would never fit under BATCHES_MAX_BYTES, and everything would stop."""
    store = own_store
    start(MQTT_URL=broker.url, REDIS_URL=own_redis.url, MQTT_TOPICS="#", BATCHES_MAX_BYTES=str(4 * 2**20))
    connection = broker.connection()
    frames = [connection.frame(b"", mid, topic=f"{mid:03}" + "t" * 60_000) for mid in range(1, 51)]
    # The first keeps the hand-over busy while the others come.
    store.redis.execute_command("CLIENT", "PAUSE", 1000, "WRITE")
    connection.publish(b"first", mid=999)
    connection.send(b"".join(frames))
    connection.wait_for_acks(999, *range(1, 51))
    sizes = [int(store.redis.hget(name, "bytes")) for name in store.redis.keys("iot:batch:*")]
    assert max(sizes) < 2**20


def test_a_second_bridge_of_the_same_name_waits_for_the_first(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    first = start(MQTT_URL=broker.url)
    old = broker.connection(0)
    second = start(MQTT_URL=broker.url)
    third = start(MQTT_URL=broker.url, LANGUAGE_CODE="fr")
    second.wait_for_line(f"BRIDGE_NAME=default belongs to another bridge (process {first.process.pid} on ")
    third.wait_for_line(
        f"BRIDGE_NAME=default appartient à un autre bridge (processus {first.process.pid} sur "
    )
    assert "give each a BRIDGE_NAME of its own" in second.output
    assert third.terminate() == 0
    old.publish(b"one", mid=1)
    old.wait_for_acks(1)
    assert len(broker.attempts) == 1
    assert first.terminate() == 0
    broker.connection(1).publish(b"two", mid=2)
    until(lambda: payloads(store) == [b"one", b"two"], "the second at work")
    assert second.output.count("belongs to another bridge") == 1
    assert second.terminate() == 0


def test_after_a_kill_it_need_not_wait(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    """The claim still stands, but its process can be seen to have ended."""
    first = start(MQTT_URL=broker.url)
    broker.connection(0)
    first.kill()
    assert store.redis.pttl("iot:bridge:default:claim") > 0
    second = start(MQTT_URL=broker.url)
    broker.connection(1)
    assert "belongs to another bridge" not in second.output


def test_of_a_process_elsewhere_the_claim_must_run_out(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    """Another machine's, or another container's: nobody here can see whether it lives."""
    elsewhere = str(Owner("id", "elsewhere", "boot/pid:[1]", os.getpid(), "1"))
    Names(store.redis).take_over("default", "client", elsewhere)
    assert 0 < store.redis.pttl("iot:bridge:default:claim") <= 10_000
    store.redis.pexpire("iot:bridge:default:claim", 60_000)
    bridge = start(MQTT_URL=broker.url)
    bridge.wait_for_line(f"(process {os.getpid()} on elsewhere)")
    assert not broker.attempts
    store.redis.pexpire("iot:bridge:default:claim", 1)
    assert broker.connection().client_id == "client"
    bridge.wait_for_line("is free now")


def test_an_owner_is_gone_only_where_that_is_certain() -> None:
    this = Owner.this_process()
    assert Owner.parse(str(this)) == this
    assert not this.is_gone()
    assert this._replace(started="1").is_gone(), "a later process has its number"
    assert not this._replace(place="boot/pid:[1]", started="1").is_gone()
    assert not Owner.parse("what an earlier version left").is_gone()
    with subprocess.Popen(["sleep", "60"]) as other:
        theirs = this._replace(pid=other.pid, started=_started(other.pid) or "")
        assert not theirs.is_gone()
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert theirs.is_gone(), "it was not waited for yet"
    assert theirs.is_gone()


def test_the_claim_is_renewed(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    start(MQTT_URL=broker.url)
    broker.connection(0)
    for _ in range(2):
        store.redis.pexpire("iot:bridge:default:claim", 5_000)
        until(lambda: store.redis.pttl("iot:bridge:default:claim") > 8_000, "its renewal")


def test_one_that_was_frozen_wakes_too_late(start: Start, broker: ScriptedBroker, store: BatchStore) -> None:
    """What it holds has been sent to its successor too, under the same session."""
    first = start(MQTT_URL=broker.url)
    old = broker.connection(0)
    first.process.send_signal(signal.SIGSTOP)
    store.redis.pexpire("iot:bridge:default:claim", 60_000)
    old.publish(b"one", mid=1)
    second = start(MQTT_URL=broker.url)
    second.wait_for_line(f"(process {first.process.pid} on ")
    store.redis.pexpire("iot:bridge:default:claim", 1)
    new = broker.connection(1)
    new.publish(b"one", mid=1, dup=True)
    new.wait_for_acks(1)
    first.process.send_signal(signal.SIGCONT)
    assert first.wait_for_exit() == 3
    assert payloads(store) == [b"one"]
    assert old.acked == []
    new.publish(b"two", mid=2)
    new.wait_for_acks(1, 2)


def test_the_session_is_kept_though_redis_is_emptied_while_another_waits(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    first = start(MQTT_URL=broker.url)
    session = broker.connection(0).client_id
    first.process.send_signal(signal.SIGSTOP)
    store.redis.pexpire("iot:bridge:default:claim", 60_000)
    second = start(MQTT_URL=broker.url)
    second.wait_for_line("belongs to another bridge")
    store.redis.flushdb()
    assert broker.connection(1).client_id == session
    assert (
        f"session {session} at the broker, a new one: Redis knows none of BRIDGE_NAME=default" in first.output
    )
    assert f"session {session} at the broker\n" in second.output


def take_the_name(store: BatchStore) -> None:
    """As another bridge does once the claim has run out, say because this one was frozen."""
    holder = store.redis.get("iot:bridge:default:claim").decode()
    Names(store.redis).take_over("default", "other", "another", gone=holder)


def test_one_whose_name_was_taken_stops_before_it_hands_over(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    bridge = start(MQTT_URL=broker.url)
    connection = broker.connection(0)
    take_the_name(store)
    connection.publish(b"too late", mid=1)
    assert bridge.wait_for_exit() == 3
    [line] = [line for line in bridge.lines if "another process runs the bridge" in line]
    assert "'default'" in line
    assert "BRIDGE_NAME" in line
    assert "Traceback" not in bridge.output
    assert connection.acked == []
    assert payloads(store) == []
    assert store.redis.get("iot:bridge:default:claim") == b"another"


def test_one_whose_name_was_taken_stops_though_nothing_comes(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    bridge = start(MQTT_URL=broker.url)
    broker.connection(0)
    take_the_name(store)
    assert bridge.wait_for_exit() == 3
    assert len(broker.attempts) == 1


def test_bridges_of_two_names_leave_each_other_alone(
    start: Start, broker: ScriptedBroker, store: BatchStore
) -> None:
    start(MQTT_URL=broker.url, BRIDGE_NAME="one")
    one = broker.connection(0)
    start(MQTT_URL=broker.url, BRIDGE_NAME="two")
    two = broker.connection(1)
    for mid in range(1, 11):
        one.publish(b"same", mid)
        two.publish(b"same", mid)
    one.wait_for_acks(*range(1, 11))
    two.wait_for_acks(*range(1, 11))
    assert len(payloads(store)) == 20


def test_sigterm_hands_over_and_acknowledges_what_was_received(
    start: Start, broker: ScriptedBroker, own_redis: Redis, own_store: BatchStore
) -> None:
    store = own_store
    bridge = start(MQTT_URL=broker.url, REDIS_URL=own_redis.url)
    connection = broker.connection()
    # Redis is busy while the messages come and the signal too.
    store.redis.execute_command("CLIENT", "PAUSE", 500, "WRITE")
    for mid in range(1, 6):
        connection.publish(b"%d" % mid, mid)
    bridge.wait_for_line("Message received", times=5)
    assert bridge.terminate() == 0
    connection.ended.wait(30)
    assert connection.said_goodbye
    assert payloads(store) == [b"1", b"2", b"3", b"4", b"5"]
    assert connection.acked == [1, 2, 3, 4, 5]


def test_sigterm_while_redis_is_down(start: Start, broker: ScriptedBroker, own_redis: Redis) -> None:
    bridge = start(MQTT_URL=broker.url, REDIS_URL=own_redis.url)
    connection = broker.connection()
    own_redis.kill()
    connection.publish(b"x", mid=1)
    bridge.wait_for_line("cannot hand over")
    assert bridge.terminate() == 0
    assert connection.acked == []


def test_sigterm_while_redis_is_frozen(start: Start, broker: ScriptedBroker, own_redis: Redis) -> None:
    bridge = start(MQTT_URL=broker.url, REDIS_URL=own_redis.url)
    connection = broker.connection()
    os.kill(own_redis.pid or 0, signal.SIGSTOP)
    try:
        connection.publish(b"x", mid=1)
        bridge.wait_for_line("Message received")
        assert bridge.terminate() == 0
    finally:
        os.kill(own_redis.pid or 0, signal.SIGCONT)


def test_sigterm_while_both_are_down(start: Start, own_redis: Redis) -> None:
    with ScriptedBroker() as broker:
        bridge = start(MQTT_URL=broker.url, REDIS_URL=own_redis.url)
        broker.connection()
        own_redis.kill()
    bridge.wait_for_line("ended")
    assert bridge.terminate() == 0


def test_sigterm_before_redis_was_ever_there(start: Start) -> None:
    bridge = start(MQTT_URL="mqtt://127.0.0.1:1", REDIS_URL="redis://127.0.0.1:1/0")
    bridge.wait_for_line("REDIS_URL")
    assert bridge.terminate() == 0
