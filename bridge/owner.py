"""Which process a bridge's name belongs to, and whether that process still lives (decision 0005)."""

import os
import socket
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4


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
        """Of a text that is none, an owner of whom nothing is known."""
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


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return "-"


def _started(pid: int) -> str | None:
    """'' for a process that has ended and was not waited for; None where it cannot be seen."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return "" if fields[0] in b"ZX" else fields[19].decode()
