"""What the bridge asks of its broker on each connection, and what of it the broker grants."""

import logging
import time

from bridge.lines import line
from bridge.settings import BridgeSettings
from process.backoff import Backoff

logger = logging.getLogger(__name__)

# Without a subscription the broker keeps nothing for us: a Redis that is away is not waited for longer. Only
# a bridge that dies before Redis is back leaves the old list to its successor: a message without
# `ts` that comes again then, and equals one of that list in packet id, topic and payload, is taken for it.
ANYHOW_SECONDS = 3.0


class Subscription:
    """Used by the loop's thread alone, except `forgotten`, which the thread that hands over calls."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._settings = settings
        #: What of it the broker refuses; empty where it refuses nothing. Stands until the next answer.
        self.trouble = ""
        #: What the session may still be subscribed to from before, under other settings.
        self.stale: set[str] = set()
        # Topics to ask for, and when at the latest.
        self._wanted: tuple[str, ...] = ()
        self._ask_at = 0.0
        self._asked = False
        self._backoff = Backoff()
        # How often what was known of a session had to be forgotten, and how often it has been, durably.
        self._forgets = self._forgotten = 0
        self._connected = ""
        # Refused, and told once.
        self._said: set[str] = set()

    def take_over(self, ever: set[str]) -> None:
        """Notes what the session was ever subscribed to. Logs which of today's topic filters overlap."""
        topics, language = self._settings.topics, self._settings.language
        self.stale = ever - set(self._settings.filters)
        for pair in topics.covered:
            logger.warning(line(language, "topic covered", *pair))
        for pair in topics.overlapping:
            logger.warning(line(language, "topics overlap", *pair))

    def begin(self, code: str, session_present: bool) -> None:
        """A connection was accepted, with this code. Without a session, `forgotten` is waited for."""
        if not session_present:
            self._forgets += 1
        self._wanted = self._settings.filters
        self._ask_at = time.monotonic() + ANYHOW_SECONDS
        self._asked = False
        self._connected = line(self._settings.language, "connected", code)

    def forgotten(self) -> None:
        """Called once it is durable that redeliveries of the old session are no longer deduplicated."""
        self._forgotten += 1

    def due(self) -> tuple[str, ...]:
        """The topics to subscribe to now; each is given once.

        In a new session not before the old one is forgotten, durably. Otherwise a bridge that died in between
        would find the new session present, and could take a redelivery in it for a duplicate of the old one.
        """
        may = not self._asked and self._forgets == self._forgotten
        if not self._wanted or not (may or time.monotonic() >= self._ask_at):
            return ()
        topics, self._wanted, self._asked = self._wanted, (), True
        return topics

    def answered(self, answers: dict[str, str]) -> bool:
        """Takes the broker's SUBACK: of each topic why it is refused, '' where it is granted.

        Returns False where no topic that brings readings is granted. What is refused is retried with backoff.
        """
        if self._connected:
            # Only now: whoever reads it may send a message, and the broker keeps it for us.
            logger.info(self._connected)
            self._connected = ""
        refused = {topic: why for topic, why in answers.items() if why}
        for topic, why in refused.items():
            if topic not in self._said:
                text = line(
                    self._settings.language, "subscription refused", self._settings.address, topic, why
                )
                logger.error(text)
        readings = [topic for topic in self._settings.topics.filters if topic in refused]
        # Without the status of boards readings come as before: an access list of an earlier version has none.
        self._said = refused.keys() - set(readings)
        self.trouble = f"the broker refuses the subscription to {', '.join(readings)}" if readings else ""
        if len(readings) == len(self._settings.topics.filters):
            return False
        if refused:
            # The others are served meanwhile.
            self._wanted = tuple(refused)
            self._ask_at = time.monotonic() + self._backoff.next()
        else:
            self._backoff.reset()
        return True
