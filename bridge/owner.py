"""Which process a bridge's name belongs to, whether it lives, and how another takes over (decision 0005)."""

import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from redis.exceptions import RedisError

from batches.names import NameHeldError, Names
from bridge.lines import line
from bridge.settings import BridgeSettings

logger = logging.getLogger(__name__)


class Owner(NamedTuple):
    """A process, as it stands in Redis: words with a space between them."""

    id: str
    host: str
    place: str
    """Boot and PID namespace: where `pid` means something. `-` where that cannot be known."""
    pid: int
    started: str
    """Ticks since boot: tells a process from a later one of the same pid."""

    @classmethod
    def this_process(cls) -> "Owner":
        pid = os.getpid()
        return cls(uuid4().hex, socket.gethostname() or "-", _place(), pid, _started(pid) or "-")

    @classmethod
    def parse(cls, text: str) -> "Owner":
        """The reverse of str(). A text in another form gives an owner of whom nothing is known."""
        words = text.split(" ")
        if len(words) != 5 or not words[3].isdecimal():
            return cls(text, "?", "-", 0, "-")
        return cls(words[0], words[1], words[2], int(words[3]), words[4])

    def __str__(self) -> str:
        return " ".join(map(str, self))

    def is_gone(self) -> bool:
        """True where it has certainly ended. Only a process of the same place can tell."""
        if self.place == "-" or self.place != _place():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # somebody else's: /proc may hide it
        started = _started(self.pid)
        return started is not None and started != self.started


class Taken(NamedTuple):
    """What Redis knows of a name's session at the broker."""

    client_id: str
    seen: bytes
    topics: set[str]
    """All that it was ever subscribed to."""


def take_name(
    names: Names, settings: BridgeSettings, token: str, pause: Callable[[float], bool]
) -> Taken | None:
    """Waits for Redis, and for the lease of another bridge of this name to run out; becomes the name's owner.

    `pause(seconds)` returns False where the process is to stop instead; then None is returned.
    """
    wait, gone, waited, going_on = 0.5, "", False, True
    wanted = new = f"iot-monitor-{uuid4().hex[:12]}"
    while going_on:
        try:
            client_id = names.take_over(settings.name, wanted, token, gone)
            taken = Taken(
                client_id, names.seen(client_id), names.note_topics(settings.name, settings.filters)
            )
        except (RedisError, OSError) as error:
            logger.warning("waiting for Redis (REDIS_URL): %s", error)
            going_on = pause(wait)
            wait = min(wait * 2, 5)
        except NameHeldError as error:
            # Should Redis be emptied while we wait, the broker still keeps messages under this one.
            wanted = error.client_id or wanted
            holder = Owner.parse(error.holder)
            if holder.is_gone():
                gone = error.holder
                continue
            if not waited:
                logger.warning(line(settings.language, "name held", settings.name, holder.pid, holder.host))
            waited = True
            going_on = pause(1.0)
        else:
            if waited:
                logger.info(line(settings.language, "name is ours", settings.name))
            # Should Redis be lost, what waits at the broker is read under this name alone.
            session = "session new" if client_id == new else "session"
            logger.info(line(settings.language, session, client_id, settings.name))
            return taken
    return None


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return "-"


def _started(pid: int) -> str | None:
    """The process's start in ticks since boot, as text; '' for a zombie, None where /proc does not show
    it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return "" if fields[0] in b"ZX" else fields[19].decode()
