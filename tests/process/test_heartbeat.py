"""Heartbeats: of a kind of process, for pages; of one process, for its container's healthcheck."""

import socket
import time

from batches.store import BatchStore
from process.heartbeat import at_work, beat, bridge_process, forget, is_beating, own_key, trouble


def test_it_works(store: BatchStore) -> None:
    assert not is_beating(store.redis, "worker")
    assert "no heartbeat" in trouble(store.redis, "worker")
    beat(store.redis, "worker")
    assert is_beating(store.redis, "worker")
    assert trouble(store.redis, "worker") == ""
    for key in ("iot:heartbeat:worker", f"iot:heartbeat:worker:{socket.gethostname()}"):
        assert 0 < store.redis.ttl(key) <= 20


def test_one_worker_of_several_is_told_from_the_others(store: BatchStore) -> None:
    beat(store.redis, "worker")
    store.redis.set(own_key("worker", "another-container"), "ok", ex=20)
    store.redis.delete(own_key("worker"))
    assert is_beating(store.redis, "worker")
    assert trouble(store.redis, "worker", "another-container") == ""
    assert trouble(store.redis, "worker")


def test_the_key_of_one_process_does_not_stand_for_its_kind(store: BatchStore) -> None:
    store.redis.set(own_key("worker"), "ok")
    assert not is_beating(store.redis, "worker")


def test_one_in_trouble_is_alive_and_not_at_work(store: BatchStore) -> None:
    beat(store.redis, "bridge", "the broker refuses the subscription to a")
    assert not is_beating(store.redis, "bridge")
    assert trouble(store.redis, "bridge") == "the broker refuses the subscription to a"


def test_a_bridge_named_like_a_host_is_none(store: BatchStore) -> None:
    beat(store.redis, bridge_process(socket.gethostname()))
    assert not is_beating(store.redis, "bridge")
    assert trouble(store.redis, "bridge")


def test_each_bridge_is_shown_by_its_name_and_one_that_dies_is_not_forgotten(store: BatchStore) -> None:
    for process in ("worker", "upkeep", "beat", "web", bridge_process("plant")):
        beat(store.redis, process)
    others = dict.fromkeys(("worker", "upkeep", "beat", "web"), True)
    assert at_work(store.redis) == others | {"bridge@plant": True}
    beat(store.redis, bridge_process("default"))
    beat(store.redis, bridge_process("hall"))
    store.redis.delete("iot:heartbeat:bridge@plant")  # as its time runs out
    bridges = {"bridge@default": True, "bridge@hall": True, "bridge@plant": False}
    assert at_work(store.redis) == others | bridges


def test_what_was_never_there_is_expected_all_the_same(store: BatchStore) -> None:
    assert at_work(store.redis) == dict.fromkeys(("bridge", "worker", "upkeep", "beat", "web"), False)
    beat(store.redis, "flower")
    assert at_work(store.redis)["flower"]


def test_what_has_been_silent_for_a_day_was_given_up(store: BatchStore) -> None:
    beat(store.redis, "bridge@plant")
    store.redis.zadd("iot:heartbeats", {"bridge@plant": time.time() - 24 * 3600 - 1})
    assert "bridge@plant" not in at_work(store.redis)


def test_what_an_earlier_run_left_is_no_heartbeat(store: BatchStore) -> None:
    beat(store.redis, "worker")
    forget(store.redis, ["worker"])
    assert not is_beating(store.redis, "worker")
