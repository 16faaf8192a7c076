"""Heartbeats: of a kind of process, for pages; of one process, for its container's healthcheck."""

import socket

from batches.store import BatchStore
from process.heartbeat import beat, bridge_process, is_beating, own_key, trouble


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
