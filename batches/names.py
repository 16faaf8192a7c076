"""A bridge's name: which process runs under it, and what its session at the broker is (decision 0005).

iot:bridge:<name>    hash: client_id, owner
iot:bridge:<name>:claim  the lease: the owner, for as long as it renews this
iot:bridge:<name>:serving hash: since, until, before: when its broker serves it
iot:bridge:<name>:topics set: what its session was ever subscribed to
iot:seen:<client>    what recognises a redelivery (DESIGN, identity); hand_over.lua adds to it
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

from redis import Redis

from batches.scripts import run

# The lease of a name: how long a bridge keeps it after it was last renewed.
CLAIM_SECONDS = 10.0
SEEN_BYTES = 10  # packet id, 2 bytes; digest, 8


class NotOwnerError(Exception):
    """Another bridge process has taken over this bridge's name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"another process runs the bridge {name!r} now")


class NameHeldError(Exception):
    """Another bridge process holds the lease of this name: `holder` is its token, `client_id` its session's.

    `client_id` is empty where Redis no longer knows it.
    """

    def __init__(self, holder: str, client_id: str) -> None:
        super().__init__(holder)
        self.holder, self.client_id = holder, client_id


class Bridge(NamedTuple):
    """A bridge process as the owner of its name, and what it deduplicates redeliveries by.

    `token` names the process. `seen`: SEEN_BYTES for each message of the batch at hand. `window`: of how many
    messages that is kept in Redis.
    """

    name: str
    client_id: str
    token: str
    seen: bytes = b""
    window: int = 1


class Serving(NamedTuple):
    """That a broker served a bridge, in Unix seconds: from `since` to `until` at least.

    `before`: until when at least it did so the last time before that.
    """

    before: float | None
    since: float
    until: float


class Names:
    """The names of bridges, in the Redis that keeps their batches."""

    def __init__(self, redis: "Redis") -> None:
        self.redis = redis

    def take_over(self, name: str, client_id: str, token: str, gone: str = "") -> str:
        """Makes the process with this token the owner of a bridge's name; returns its client id.

        The client id given is kept if the name has none yet: it lasts as long as the broker's
        session that it names. Raises NameHeldError while another process holds the lease of the name;
        `gone` is the token of one that is known to have ended, whose lease counts no more.
        """
        client, *holder = cast(
            list[bytes],
            run(
                self.redis,
                "take_over",
                [f"iot:bridge:{name}", f"iot:bridge:{name}:claim"],
                [token, client_id, int(CLAIM_SECONDS * 1000), gone],
            ),
        )
        if holder:
            raise NameHeldError(*(word.decode() for word in holder))
        return client.decode()

    def owner(self, name: str) -> str:
        """The token of the process that took the bridge's name last; empty where none did."""
        found = cast(bytes | None, self.redis.hget(f"iot:bridge:{name}", "owner"))
        return (found or b"").decode()

    def note_topics(self, name: str, topics: Sequence[str]) -> set[str]:
        """Notes what the bridge's session is about to be subscribed to; returns all that it ever was."""
        key = f"iot:bridge:{name}:topics"
        self.redis.sadd(key, *topics)
        return {topic.decode() for topic in cast(set[bytes], self.redis.smembers(key))}

    def note_serving(self, name: str, since: float, until: float) -> None:
        """The bridge's broker has served it since then, and does so now."""
        key = f"iot:bridge:{name}:serving"
        known = self.serving(name)
        if known is not None and known.since != since:
            self.redis.hset(key, "before", str(known.until))
        self.redis.hset(key, mapping={"since": since, "until": until})

    def serving(self, name: str) -> Serving | None:
        """None where it never was, or is of a version that did not say so."""
        found = self.redis.hmget(f"iot:bridge:{name}:serving", "before", "since", "until")
        before, since, until = cast(list[bytes | None], found)
        if since is None or until is None:
            return None
        return Serving(None if before is None else float(before), float(since), float(until))

    def renew_claim(self, bridge: Bridge) -> None:
        """Renews the owner's lease of the name, for CLAIM_SECONDS from now. Raises NotOwnerError."""
        if not run(
            self.redis,
            "renew_claim",
            [f"iot:bridge:{bridge.name}", f"iot:bridge:{bridge.name}:claim"],
            [bridge.token, int(CLAIM_SECONDS * 1000), bridge.client_id],
        ):
            raise NotOwnerError(bridge.name)

    def release_claim(self, bridge: Bridge) -> None:
        """Gives up the lease as the owner ends, so that the next one need not wait for it to run out."""
        run(self.redis, "release_claim", [f"iot:bridge:{bridge.name}:claim"], [bridge.token])

    def seen(self, client_id: str) -> bytes:
        """What redeliveries to this client are deduplicated by: SEEN_BYTES a message, oldest first."""
        return b"".join(cast(list[bytes], self.redis.lrange(f"iot:seen:{client_id}", 0, -1)))

    def forget_seen(self, bridge: Bridge) -> None:
        """The broker has forgotten the session: what it sends from now on is new. Raises NotOwnerError."""
        client = bridge.client_id
        if not run(
            self.redis,
            "forget_seen",
            [f"iot:bridge:{bridge.name}", f"iot:seen:{client}", f"iot:seen:{client}:count"],
            [bridge.token],
        ):
            raise NotOwnerError(bridge.name)
