"""The heartbeat of a process, which must never hold that process up."""

import logging
import threading
import time

from redis import Redis
from redis.exceptions import RedisError

from process import heartbeat

logger = logging.getLogger(__name__)


class Pulse:
    """`redis` must answer soon, or not at all (batches.connect)."""

    def __init__(self, redis: Redis, process: str) -> None:
        self.process = process
        self.missed = False
        self._redis = redis

    def beat(self) -> None:
        """Sends a heartbeat; raises nothing. That Redis is away, or back, is logged once."""
        try:
            heartbeat.beat(self._redis, self.process)
        except RedisError as error:
            if not self.missed:
                logger.warning("%s: Redis does not take the heartbeat: %s", self.process, error)
            self.missed = True
        else:
            if self.missed:
                logger.info("%s: Redis takes the heartbeat again", self.process)
            self.missed = False

    def beat_in_a_thread(self) -> None:
        """For a process that has no loop of its own to beat from."""

        def beat_for_ever() -> None:
            while True:
                self.beat()
                time.sleep(heartbeat.INTERVAL_SECONDS)

        threading.Thread(target=beat_for_ever, name="heartbeat", daemon=True).start()
