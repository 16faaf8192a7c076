"""In a web process: one subscription for all viewers, and a frame a second.

What workers publish (monitoring.live.listening) is gathered, and once a second, or at once where it has been
quiet, written for those who watch. Viewers of the same sensors get the same bytes, and a sensor's part is
written once for all of them.
Frames are kept for a minute: who comes back with the id that it saw last gets what it missed, or `resync`
where that is not known: the ring is too short, Redis was away, or nobody here has listened for long enough.

It begins to listen with the first viewer, and ends a minute after the last. All of it runs on the loop, but
for `open` and `leave_from_anywhere`.
"""

import asyncio
import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from weakref import WeakSet

from monitoring import __version__
from monitoring.live import events, topics
from monitoring.live.channel import News
from monitoring.live.figures import Figures
from monitoring.live.listening import Listener, now_ms
from monitoring.live.ring import Frame, Ring
from monitoring.live.stream import OVERLAP_MS, Stream, Wish

logger = logging.getLogger(__name__)

HZ = 1
FORMAT = 1
# The first news after a silence waits so long for others that were stored with it.
GATHER_SECONDS = 0.02
# A stream that is silent gets a comment: who reads knows within ten seconds that it has lost it.
PULSE_SECONDS = 4.0
CHECK_SECONDS = 60.0
LINGER_SECONDS = 60.0
MOST_OF_ONE = 6
# After so many viewers the loop looks after others.
TURN = 50


class TooManyOfOneError(Exception):
    """This user has as many streams open as one may."""


class FullError(Exception):
    """This process has as many streams open as it may."""


class _Audience:
    """Those who watch the same: they get the same bytes."""

    def __init__(self, wish: Wish) -> None:
        self.sensors, self.topics = wish.sensors, wish.topics
        self.streams: set[Stream] = set()


class Hub:
    def __init__(self, url: str, most: int = 1000) -> None:
        self._url, self._most = url, most
        self._lock = threading.Lock()
        # A weak set: a stream that Django never began to send, and so never closes, does not count for ever.
        self._open: WeakSet[Stream] = WeakSet()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._thread = ThreadPoolExecutor(1, "live")
        self._ends: str | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._audiences: dict[tuple[frozenset[int], frozenset[str]], _Audience] = {}
        self._streams: set[Stream] = set()
        self._news, self._ring = News(), Ring()
        self._fresh = asyncio.Event()
        self._figures = Figures(self._thread)
        self._listener = Listener(self._url, begun=self._begun, came=self._came, lost=self._lost)
        self._last_id = 0
        self._framed_at = self._quiet_since = -math.inf

    # --- places ----------------------------------------------------------------------------------

    def open(
        self,
        wish: Wish,
        who: str,
        most_of_one: int = MOST_OF_ONE,
        may_watch: Callable[[], bool] | None = None,
    ) -> Stream:
        """A stream for one more viewer, `who`; called from any thread.

        Raises TooManyOfOneError where this user has `most_of_one` streams, FullError where all are taken.
        """
        with self._lock:
            if not wish.once:
                if len(self._open) >= self._most:
                    raise FullError
                if sum(one.who == who for one in self._open) >= most_of_one:
                    raise TooManyOfOneError
            stream = Stream(self, wish, who, may_watch)
            if not wish.once:
                self._open.add(stream)
        return stream

    def __len__(self) -> int:
        return len(self._open)

    def leave_from_anywhere(self, stream: Stream) -> None:
        with self._lock:
            self._open.discard(stream)
        if self._loop is not None and not self._loop.is_closed():
            with suppress(RuntimeError):  # closed meanwhile
                self._loop.call_soon_threadsafe(self.leave, stream)

    def end(self, why: str) -> None:
        """Ends all streams as the process ends, and new ones as soon as they begin. Called on the loop."""
        self._ends = why
        for stream in tuple(self._streams):
            stream.end(why)
        self._stop()

    # --- viewers ---------------------------------------------------------------------------------

    def join(self, stream: Stream) -> None:
        """Adds a viewer: queues `hello` and what it missed; from now on it gets what comes. On the loop."""
        self._listen()
        self._quiet_since = asyncio.get_running_loop().time()
        now, wish = now_ms(), stream.wish
        after = min(now if wish.after is None else wish.after, now)
        hello = {
            "v": FORMAT,
            "now": now,
            "build": __version__,
            "hz": HZ,
            "topics": sorted(wish.topics),
            "stale": "redis" if self._listener.is_away else None,
        }
        self._figures.watch(wish.topics)
        text = events.event("hello", hello) + self.latest(wish.topics)
        if self._ring.covers(after - OVERLAP_MS if wish.after is not None else now):
            assert self._listener.heard_at is not None
            id = max(self._last_id, self._listener.heard_at)
            stream.begin(events.identity(id) + text + self._missed(wish, after - OVERLAP_MS), id)
        else:
            stream.lack(after - OVERLAP_MS)
            stream.begin(text, 0)
            self._catch_up([stream])
        if self._ends is not None:
            stream.end(self._ends)
        elif wish.once:
            stream.end("once")
        else:
            key = (wish.sensors, wish.topics)
            audience = self._audiences.setdefault(key, _Audience(wish))
            audience.streams.add(stream)
            self._streams.add(stream)
            stream.sent_at = stream.checked_at = asyncio.get_running_loop().time()

    def leave(self, stream: Stream) -> None:
        with self._lock:
            self._open.discard(stream)
        self._streams.discard(stream)
        key = (stream.wish.sensors, stream.wish.topics)
        if (audience := self._audiences.get(key)) is not None:
            audience.streams.discard(stream)
            if not audience.streams:
                del self._audiences[key]

    def latest(self, wanted: Iterable[str]) -> bytes:
        """The latest events of these topics, as bytes."""
        return self._figures.latest(wanted)

    def _missed(self, wish: Wish, after: int) -> bytes:
        """What came after `after`: values frame by frame, for a chart wants each one; the rest summed up."""
        if wish.after is None:
            return b""
        found: list[bytes] = []
        changed: dict[int, str] = {}
        codes: Counter[str] = Counter()
        rows, sensors = 0, set[int]()
        for frame in self._ring.since(after):
            pieces = [events.piece(sensor_id, newest) for sensor_id, newest in frame.of(wish.sensors)]
            if pieces:
                found.append(events.identity(frame.id) + events.values(pieces))
            changed |= frame.changed if topics.CHANGES in wish.topics else _of(wish.sensors, frame.changed)
            if frame.id > wish.after:  # what has no identity must not come twice
                codes.update(frame.rejected)
                rows += frame.rows
                sensors.update(frame.sensors)
        if changed:
            found.append(events.event("status", {"changed": changed}))
        if codes and topics.REJECTED in wish.topics:
            found.append(events.rejected(codes))
        if rows and topics.STORED in wish.topics:
            found.append(events.stored(rows, sensors))
        return b"".join(found)

    # --- frames ----------------------------------------------------------------------------------

    async def _send_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(1 / HZ):
                    await self._fresh.wait()
            if self._fresh.is_set():
                due = self._framed_at + 1 / HZ
                await asyncio.sleep(max(GATHER_SECONDS, due - loop.time()))
                # By the clock rather than by when it was done: each frame would be a little later than the
                # last, and what comes once a second would wait longer and longer.
                self._framed_at = due if loop.time() - due < 1 / HZ else loop.time()
            try:
                await self._send(loop.time())
            except Exception:
                logger.exception("a frame failed; viewers get the next")
            if self._streams:
                self._quiet_since = loop.time()
            elif loop.time() - self._quiet_since > LINGER_SECONDS:
                self._stop()

    async def _send(self, now: float) -> None:
        self._fresh.clear()
        news, self._news = self._news, News()
        if news:
            self._last_id = max(self._last_id + 1, self._listener.heard_at or 0)
            self._ring.add(Frame(self._last_id, news))
        id = max(self._last_id, self._listener.heard_at or 0)
        self._figures.watch({name for audience in self._audiences.values() for name in audience.topics})
        self._figures.read(now)
        told = self._figures.take_new()
        if news.rejected:
            told[topics.REJECTED] = events.rejected(news.rejected)
        if news.stored:
            rows = sum(newest.n for newest in news.stored.values())
            told[topics.STORED] = events.stored(rows, news.stored)
        if news.changed:
            told[topics.CHANGES] = events.event("status", {"changed": news.changed})
        pieces: dict[int, events.Piece] = {}
        turn = 0
        for audience in tuple(self._audiences.values()):
            text = self._text(audience, news, pieces) + b"".join(
                told[name] for name in told if name in audience.topics
            )
            for stream in tuple(audience.streams):
                if text:
                    stream.offer(text, id)
                    stream.sent_at = now
                elif now - stream.sent_at >= PULSE_SECONDS and not stream.is_behind:
                    stream.offer(events.PULSE, id)
                    stream.sent_at = now
                turn += 1
                if turn % TURN == 0:
                    await asyncio.sleep(0)
        self._catch_up(self._streams)
        self._check(now)

    @staticmethod
    def _text(audience: _Audience, news: News, pieces: dict[int, events.Piece]) -> bytes:
        found = []
        for sensor_id in audience.sensors:
            piece = pieces.get(sensor_id)
            if piece is None:
                newest = news.stored.get(sensor_id)
                if newest is None:
                    continue
                piece = pieces[sensor_id] = events.piece(sensor_id, newest)
            found.append(piece)
        text = events.values(found)
        if topics.CHANGES not in audience.topics and (changed := _of(audience.sensors, news.changed)):
            text += events.event("status", {"changed": changed})
        return text

    def _catch_up(self, streams: Iterable[Stream]) -> None:
        """Tells streams what they lack (`resync`), once it is sure that they lack nothing from now on."""
        now = now_ms()
        if self._listener.heard_at is not None and self._ring.covers(now):
            for stream in streams:
                stream.catch_up(max(self._last_id, self._listener.heard_at))

    def _check(self, now: float) -> None:
        due = [one for one in self._streams if one.may_watch and now - one.checked_at >= CHECK_SECONDS]
        for stream in due:
            stream.checked_at = now
            asked = asyncio.get_running_loop().run_in_executor(self._thread, _may_watch, stream)
            asked.add_done_callback(partial(self._checked, stream))

    @staticmethod
    def _checked(stream: Stream, asked: "asyncio.Future[bool]") -> None:
        if not asked.cancelled() and not asked.result():
            stream.end("not_allowed")

    # --- what workers publish --------------------------------------------------------------------

    def _listen(self) -> None:
        """Starts the listener and the sender, unless they run already on this loop."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop or not self._tasks:
            self._loop = loop
            self._begin_anew()
            self._tasks = [
                loop.create_task(self._listener.for_ever()),
                loop.create_task(self._send_for_ever()),
            ]

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    def _begun(self, whole_from: int) -> None:
        self._ring.whole_from = whole_from

    def _came(self, news: News) -> None:
        self._news.add(news)
        if self._news:
            self._fresh.set()

    def _lost(self, heard_at: int) -> None:
        since = heard_at - OVERLAP_MS
        self._ring.forget()
        word = events.event("stale", {"why": "redis", "since": since})
        for stream in self._streams:
            stream.lack(since)
            stream.offer(word, 0)


def _of(sensors: frozenset[int], changed: Mapping[int, str]) -> dict[int, str]:
    return {sensor_id: changed[sensor_id] for sensor_id in sensors & changed.keys()}


def _may_watch(stream: Stream) -> bool:
    """Whether the viewer's right still holds. Yes while the database is away: nothing new comes then."""
    from django.db import DatabaseError, InterfaceError, close_old_connections

    assert stream.may_watch is not None
    try:
        return stream.may_watch()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("a viewer's right is not checked: %s", str(error).partition("\n")[0])
        return True
    finally:
        close_old_connections()
