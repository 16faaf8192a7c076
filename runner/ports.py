"""TCP ports on this machine: free ones, and who holds one that is taken."""

import contextlib
import errno
import os
import random
import socket
from pathlib import Path

# Below the range that the kernel hands to outgoing connections: a port kept for a restart must not be
# taken in between by somebody's connection.
CHOICE = range(20_000, 32_000)


def problem(port: int, host: str = "127.0.0.1") -> str | None:
    """Why nothing can listen on the port ("is taken by redis-server, pid 12"); None if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                who = holder(port)
                return f"is taken by {who}" if who else "is taken by another program"
            if error.errno == errno.EACCES:
                return "needs root (it is below 1024)"
            return f"cannot be used on {host}: {error.strerror}"
    return None


def choose(among: range = CHOICE) -> int:
    """A free port on 127.0.0.1. Nobody is kept from taking it before it is used."""
    for port in random.sample(among, 200):
        if problem(port) is None:
            return port
    raise OSError(errno.EADDRINUSE, f"no free port between {among.start} and {among.stop}")


def holder(port: int) -> str | None:
    """ "name, pid N" of the process that listens on the port, if we may see it."""
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return None
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{fd}") in inodes:
                        return f"{Path(f'/proc/{pid}/comm').read_text().strip()}, pid {pid}"
    return None


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts a connection."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
