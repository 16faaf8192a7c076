"""The hub in a loop of the test's own, on the real Redis; viewers read from it directly."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from django.conf import settings

from batches.store import BatchStore
from monitoring.live import figures, stream, topics
from monitoring.live import hub as hubs
from monitoring.live import listening as listening_to
from monitoring.live.hub import FullError, Hub, TooManyOfOneError
from monitoring.live.stream import QUEUE, Wish
from runner.services import Redis
from tests.live.watching import Viewer, publish, until

ONE = frozenset({1})
OVERLAP_MS = 50


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker has to find out first that somebody listens; frames come as fast as they can."""
    monkeypatch.setattr(listening_to, "LISTENED_AFTER_SECONDS", 0)
    monkeypatch.setattr(hubs, "HZ", 50)
    monkeypatch.setattr(listening_to, "PING_SECONDS", 0.1)
    monkeypatch.setattr(hubs, "PULSE_SECONDS", 0.05)
    monkeypatch.setattr(hubs, "OVERLAP_MS", OVERLAP_MS)
    monkeypatch.setattr(stream, "OVERLAP_MS", OVERLAP_MS)


def run(test: Callable[[Hub], Coroutine[Any, Any, None]], url: str = "", most: int = 1000) -> None:
    async def whole() -> None:
        hub = Hub(url or settings.REDIS_URL, most)
        try:
            await test(hub)
        finally:
            hub.end("over")

    asyncio.run(whole())


def watch(hub: Hub, sensors: frozenset[int] = ONE, who: str = "", **more: Any) -> Viewer:
    may_watch = more.pop("may_watch", None)
    return Viewer(hub.open(Wish(sensors, **more), who, may_watch=may_watch))


async def listening(store: BatchStore, hub: Hub, viewer: Viewer) -> None:
    """Until the viewer lacks nothing any more, and could come back with the id that it has."""
    await until(lambda: viewer.named("resync"), "the first resync")
    await until(lambda: hub._ring.covers(viewer.last_id() - OVERLAP_MS), "the overlap")


def test_it_works(store: BatchStore) -> None:
    async def test(hub: Hub) -> None:
        viewer = watch(hub, frozenset({1, 2}), topics=frozenset({"stored"}))
        await listening(store, hub, viewer)
        publish(store, (1, 2.5), (2, 3.5), (3, 4.5))
        await until(lambda: viewer.values(1), "the value")
        assert viewer.named("hello")[0]["v"] == 1
        (m,) = viewer.named("m")
        assert sorted(zip(*m.values(), strict=True)) == [(1, m["t"][0], 2.5, 1), (2, m["t"][0], 3.5, 1)]
        assert viewer.named("stored") == [{"rows": 3, "sensors": 3, "some": [1, 2, 3]}]

    run(test)


def test_who_watches_the_same_gets_the_same_and_nobody_else_does(store: BatchStore) -> None:
    async def test(hub: Hub) -> None:
        first, second, other = watch(hub), watch(hub), watch(hub, frozenset({2}))
        for viewer in (first, second, other):
            await listening(store, hub, viewer)
        publish(store, (1, 1.0))
        publish(store, (2, 2.0))
        await until(lambda: first.values(1) and second.values(1) and other.values(2), "the values")
        assert (first.values(2), other.values(1)) == ([], [])

    run(test)


def test_nothing_is_missing_after_a_cut_and_values_come_one_by_one(store: BatchStore) -> None:
    async def test(hub: Hub) -> None:
        stays, viewer = watch(hub), watch(hub)
        await listening(store, hub, viewer)
        publish(store, (1, 0.0))
        await until(lambda: viewer.values(1), "a value")
        await viewer.leave()
        for value in (1.0, 2.0, 3.0):
            publish(store, (1, value))
            await until(lambda value=value: value in stays.values(1), "the frame")
        back = watch(hub, after=viewer.last_id())
        await until(lambda: 3.0 in back.values(1), "the replay")
        publish(store, (1, 4.0))
        await until(lambda: 4.0 in back.values(1), "what comes after")
        assert back.values(1)[-4:] == [1.0, 2.0, 3.0, 4.0]
        assert back.named("resync") == []
        assert back.last_id() > viewer.last_id()

    run(test)


def test_whoever_was_away_for_too_long_is_told_to_fetch(store: BatchStore) -> None:
    async def test(hub: Hub) -> None:
        stays = watch(hub)
        await listening(store, hub, stays)
        after = stays.last_id() - 120_000
        back = watch(hub, after=after)
        await until(lambda: back.named("resync"), "resync")
        assert back.named("resync") == [{"from": after - OVERLAP_MS}]
        assert back.last_id() > after
        future = watch(hub, after=stays.last_id() + 10**9)
        await until(lambda: future.events, "a word")
        assert future.named("resync") == [], "a clock that is ahead asks for nothing that is missing"

    run(test)


def test_no_id_is_given_before_what_is_missing_is_told(
    store: BatchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut in between, it would come back with that id, and never learn of it."""
    monkeypatch.setattr(listening_to, "LISTENED_AFTER_SECONDS", 2)

    async def test(hub: Hub) -> None:
        viewer = watch(hub)
        await until(lambda: publish(store, (1, 1.0)), "the subscription")
        await until(lambda: viewer.values(1), "a value")
        await until(lambda: viewer.named("resync"), "the resync")
        names = [event.name for event in viewer.events]
        assert names.index("m") < names.index("resync")
        assert {event.id for event in viewer.events[: names.index("resync")]} == {None}
        assert viewer.events[names.index("resync")].id is not None

    run(test)


def test_who_reads_slowly_is_told_once_and_nothing_piles_up(store: BatchStore) -> None:
    async def test(hub: Hub) -> None:
        slow, quick = watch(hub), watch(hub)
        await listening(store, hub, slow)
        slow.pause()
        publish(store, (1, 0.0))
        await until(lambda: 0.0 in quick.values(1), "a frame")
        (queue,) = (one._queue for one in hub._streams if one._wake is None or one._wake.done())
        for value in range(1, 30):
            publish(store, (1, float(value)))
            await until(lambda value=value: value in quick.values(1), "a frame")
            assert len(queue) <= QUEUE
        held = slow.last_id()
        slow.go_on()
        publish(store, (1, 30.0))
        await until(lambda: 30.0 in slow.values(1), "what comes after")
        (first, *others) = slow.named("resync")[1:]
        assert first["from"] <= held
        assert all(other["from"] == first["from"] for other in others)
        assert len(slow.values(1)) <= QUEUE + 2

    run(test)


def test_a_comment_comes_where_nothing_else_does(store: BatchStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "PULSE_SECONDS", 0.1)

    async def test(hub: Hub) -> None:
        viewer = watch(hub)
        await listening(store, hub, viewer)
        before = viewer.last_id()
        await until(
            lambda: viewer.events[-1].name == "" and viewer.last_id() > before, "a comment with an id"
        )

    run(test)


def test_places_are_counted_and_given_back(store: BatchStore) -> None:
    async def test(hub: Hub) -> None:
        mine = [watch(hub, who="me") for _ in range(6)]
        with pytest.raises(TooManyOfOneError):
            watch(hub, who="me")
        assert hub.open(Wish(ONE, once=True), "me"), "asking once takes no place"
        others = [watch(hub, who=f"other {n}") for n in range(2)]
        with pytest.raises(FullError):
            watch(hub, who="one more")
        await asyncio.sleep(0)
        for viewer in (*mine, *others):
            await viewer.leave()
        assert len(hub) == 0
        hub.open(Wish(ONE), "never read")
        assert len(hub) == 0, "an answer that nobody came for"

    run(test, most=8)


def test_who_is_refused_twice_is_told_once(store: BatchStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer takes longer than until it is asked again."""
    monkeypatch.setattr(hubs, "CHECK_SECONDS", 0.01)

    async def test(hub: Hub) -> None:
        answers = threading.Semaphore(0)
        viewer = watch(hub, may_watch=lambda: not answers.acquire(timeout=20))
        await until(lambda: hub._thread._work_queue.qsize() > 1, "more questions that wait")
        viewer.pause()
        answers.release(1000)
        await until(hub._thread._work_queue.empty, "the answers")
        viewer.go_on()
        await until(lambda: viewer.has_ended, "the end")
        assert viewer.named("bye") == [{"why": "not_allowed"}]

    run(test)


def test_it_asks_again_whether_one_may_watch(store: BatchStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "CHECK_SECONDS", 0.05)
    asked: list[str] = []

    async def test(hub: Hub) -> None:
        may = [True]

        def may_watch() -> bool:
            asked.append(threading.current_thread().name)
            return may[0]

        viewer, other = watch(hub, may_watch=may_watch), watch(hub)
        await until(lambda: len(asked) > 2, "being asked")
        assert not viewer.has_ended
        may[0] = False
        await until(lambda: viewer.has_ended, "the end")
        assert viewer.named("bye") == [{"why": "not_allowed"}]
        assert not other.has_ended
        assert len(hub) == 1

    run(test)
    assert {name.partition("_")[0] for name in asked} == {"live"}, "never on the loop"


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What the topic `counted` says next; an exception is raised. And how often it was asked."""
    said: list[Any] = [{"n": 1}, 0]

    def read() -> Any:
        said[1] += 1
        if isinstance(said[0], Exception):
            raise said[0]
        return said[0]

    monkeypatch.setattr(figures, "SHARE", 0)
    topics.register("counted", read, event="status", every=0.05)
    yield said
    del topics._topics["counted"]


def test_a_topic_is_worked_out_once_for_all_and_sent_where_it_changed(
    store: BatchStore, topic: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def test(hub: Hub) -> None:
        wish = {"topics": frozenset({"counted"})}
        viewers = [watch(hub, frozenset(), str(n), **wish) for n in range(5)]
        nobody = watch(hub)
        await until(lambda: all(one.named("status") for one in viewers), "the first figure")
        asked = topic[1]
        await until(lambda: topic[1] > asked + 20, "being asked again")
        for one in viewers:
            # Once more with `resync`, and where this loop was held up for longer than a figure holds.
            assert 1 <= len(one.named("status")) < 10
            assert all(figure == {"n": 1} for figure in one.named("status"))
        late = watch(hub, frozenset(), **wish)
        await until(lambda: late.named("status"), "what is known already")
        assert late.named("status")[0] == {"n": 1}
        topic[0] = ZeroDivisionError("in a topic")
        await until(lambda: "in a topic" in caplog.text, "the log")
        topic[0] = {"n": 2}
        await until(lambda: all(one.named("status")[-1] == {"n": 2} for one in viewers), "the change")
        assert nobody.named("status") == []
        for viewer in (*viewers, late):
            await viewer.leave()
        await asyncio.sleep(0.3)
        asked = topic[1]
        await asyncio.sleep(0.3)
        assert topic[1] == asked, "nobody watches it"

    run(test)


def test_changes_of_status_and_rejections_go_to_whoever_asked(store: BatchStore) -> None:
    async def test(hub: Hub) -> None:
        viewer, other = watch(hub, topics=frozenset({"rejected"})), watch(hub, frozenset({2}))
        everything = watch(hub, topics=frozenset({"changes"}))
        await listening(store, hub, viewer)
        publish(store, rejected={"empty": 2, "bad_ts": 1}, changed={1: "late", 9: "ok"})
        await until(lambda: viewer.named("status"), "the change")
        assert viewer.named("status") == [{"changed": {"1": "late"}}]
        assert everything.named("status") == [{"changed": {"1": "late", "9": "ok"}}]
        assert viewer.named("rejected") == [{"new": 3, "codes": {"empty": 2, "bad_ts": 1}}]
        assert (other.named("status"), other.named("rejected")) == ([], [])
        back = watch(hub, after=viewer.last_id())
        await until(lambda: back.named("status") == [{"changed": {"1": "late"}}], "the change again")

    run(test)


def test_once_gives_what_there_is_and_ends(store: BatchStore) -> None:
    async def test(hub: Hub) -> None:
        stays = watch(hub)
        await listening(store, hub, stays)
        after = stays.last_id()
        publish(store, (1, 5.0), rejected={"empty": 2})
        await until(lambda: stays.values(1), "the frame")
        every = frozenset({"rejected", "stored"})
        asks = watch(hub, once=True, after=after, topics=every)
        await until(lambda: asks.has_ended, "the end")
        assert asks.values(1) == [5.0]
        assert asks.named("rejected") == [{"new": 2, "codes": {"empty": 2}}]
        assert asks.named("stored") == [{"rows": 1, "sensors": 1, "some": [1]}]
        assert asks.named("bye") == [{"why": "once"}]
        again = watch(hub, once=True, after=asks.last_id(), topics=every)
        await until(lambda: again.has_ended, "the end")
        assert again.named("rejected") == again.named("stored") == [], "what was told is not told twice"

    run(test)


def test_nonsense_in_the_channel_ends_nothing(store: BatchStore, caplog: pytest.LogCaptureFixture) -> None:
    from monitoring.live.channel import channel

    async def test(hub: Hub) -> None:
        viewer = watch(hub)
        await listening(store, hub, viewer)
        store.redis.publish(channel(store.redis), b"nonsense")
        publish(store, (1, 5.0))
        await until(lambda: viewer.values(1), "the value")

    run(test)
    assert "what was published is left out" in caplog.text


def test_it_says_that_redis_is_away_and_heals(own_redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    store = BatchStore.at(own_redis.url, 2**20)

    async def test(hub: Hub) -> None:
        viewer = watch(hub)
        await listening(store, hub, viewer)
        publish(store, (1, 1.0))
        await until(lambda: viewer.values(1), "a value")
        await asyncio.to_thread(own_redis.stop)
        gone = time.time_ns() // 1_000_000
        await until(lambda: viewer.named("stale"), "the word that it is stale")
        assert viewer.named("stale")[0]["why"] == "redis"
        assert viewer.named("hello")[0]["stale"] is None
        late = watch(hub)
        await until(lambda: late.named("hello"), "hello")
        assert late.named("hello")[0]["stale"] == "redis"
        await asyncio.to_thread(own_redis.start)
        await until(lambda: len(viewer.named("resync")) == 2 and late.named("resync"), "the healing")
        assert viewer.named("resync")[1]["from"] <= gone
        publish(store, (1, 2.0))
        await until(lambda: viewer.values(1) == [1.0, 2.0] and late.values(1) == [2.0], "values again")

    run(test, own_redis.url)
    assert "Redis does not answer" in caplog.text
    store.redis.close()


def test_a_redis_that_hangs_is_away_too(own_redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening_to, "SILENT_SECONDS", 0.5)
    store = BatchStore.at(own_redis.url, 2**20)

    async def test(hub: Hub) -> None:
        viewer = watch(hub)
        await listening(store, hub, viewer)
        store.redis.execute_command("CLIENT", "PAUSE", "1500", "ALL")
        await until(lambda: viewer.named("stale"), "the word that it is stale")
        await until(lambda: len(viewer.named("resync")) == 2, "the healing")

    run(test, own_redis.url)
    store.redis.close()


def test_it_listens_only_while_somebody_watches(store: BatchStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "LINGER_SECONDS", 0.3)

    async def test(hub: Hub) -> None:
        for value in (1.0, 2.0):
            viewer = watch(hub)
            await listening(store, hub, viewer)
            publish(store, (1, value))
            await until(lambda viewer=viewer, value=value: viewer.values(1) == [value], "the value")
            await viewer.leave()
            await until(lambda: not publish(store, (2, 1.0)), "the end of the listening")

    run(test)
