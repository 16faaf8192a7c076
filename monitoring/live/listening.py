"""In a web process: the one subscription to what workers publish, as long as somebody watches.

    listener = Listener(url, begun=..., came=..., lost=...)
    await listener.for_ever()               cancelled when nobody watches any more

Redis is asked now and then whether it is there, since a connection may be dead without saying so. All of it
runs on the loop.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from monitoring.live.channel import News, channel
from monitoring.live.publish import LISTENED_AFTER_SECONDS

logger = logging.getLogger(__name__)

# How often Redis is sent a PING, and the timeout after which the connection is given up.
PING_SECONDS, SILENT_SECONDS = 2.0, 6.0
AGAIN_SECONDS = 1.0


class Listener:
    """Calls, with instants in milliseconds since 1970:

    begun(whole_from)   of what is published later than that nothing is missing
    came(news)
    lost(heard_at)      Redis has gone away, and up to then nothing is missing; once for each time, however
                        often connecting is retried
    """

    def __init__(
        self,
        url: str,
        *,
        begun: Callable[[int], None],
        came: Callable[[News], None],
        lost: Callable[[int], None],
    ) -> None:
        self._url, self._begun, self._came, self._lost = url, begun, came, lost
        #: Up to here nothing that was published is missing; None while nobody can say.
        self.heard_at: int | None = None
        self.is_away = False

    async def for_ever(self) -> None:
        client = redis.asyncio.Redis.from_url(
            self._url, socket_connect_timeout=2, socket_timeout=5, retry=Retry(NoBackoff(), 0)
        )
        said = ""
        try:
            while True:
                try:
                    async with client.pubsub() as subscription:
                        await subscription.subscribe(channel(client))
                        await self._hear(subscription)
                except (RedisError, OSError) as error:
                    if str(error) != said:
                        logger.warning("live viewers wait, Redis does not answer: %s", error)
                        said = str(error)
                self._lose()
                await asyncio.sleep(AGAIN_SECONDS)
        finally:
            await client.aclose()

    async def _hear(self, subscription: Any) -> None:
        loop = asyncio.get_running_loop()
        heard = pinged = loop.time()
        while True:
            message = await subscription.get_message(timeout=PING_SECONDS)
            now = loop.time()
            if message is not None:
                heard = now
                self._heard(message)
            elif now - heard > SILENT_SECONDS:
                raise OSError(f"it has said nothing for {SILENT_SECONDS:.0f} s")
            if now - pinged >= PING_SECONDS:
                pinged = now
                await subscription.ping()

    def _heard(self, message: dict[str, Any]) -> None:
        self.heard_at = max(self.heard_at or 0, now_ms())
        self.is_away = False
        if message["type"] == "subscribe":
            self._begun(self.heard_at + int(1000 * LISTENED_AFTER_SECONDS))
        elif message["type"] == "message":
            try:
                news = News.unpack(message["data"])
            except ValueError as error:
                logger.warning("what was published is left out: %s", error)
            else:
                self._came(news)

    def _lose(self) -> None:
        if self.is_away:
            return
        heard_at = now_ms() if self.heard_at is None else self.heard_at
        self.heard_at, self.is_away = None, True
        self._lost(heard_at)


def now_ms() -> int:
    return time.time_ns() // 1_000_000
