"""What this machine is called, and under which addresses others reach it."""

import contextlib
import ipaddress
import re
import socket
from pathlib import Path

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 -- to recognise it


def is_open(listen: str) -> bool:
    """Whether others than this machine reach what listens there."""
    try:
        return not ipaddress.ip_address(listen).is_loopback
    except ValueError:
        return listen != "localhost"


def reachable(listen: str) -> str:
    """An address of this machine on which it answers."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(listen, listen)  # noqa: S104


def in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def addresses(listen: str) -> list[str]:
    """Those at which others reach what listens there: where it listens everywhere, all of this machine's that
    are of its kind."""
    if listen not in EVERYWHERE:
        return [listen] if is_open(listen) else []
    found = _ipv6() if ":" in listen else _ipv4()
    return [address for address in dict.fromkeys(found) if not ipaddress.ip_address(address).is_loopback]


def names() -> list[str]:
    """As the network may know it; `.local` is what phones and laptops ask the network for by themselves."""
    name = socket.gethostname().lower()
    return [name, f"{name.partition('.')[0]}.local"]


def _ipv4() -> list[str]:
    with contextlib.suppress(OSError):
        table = Path("/proc/net/fib_trie").read_text()
        return re.findall(r"\|-- ([0-9.]+)\n +/32 host LOCAL", table)
    return []


def _ipv6() -> list[str]:
    with contextlib.suppress(OSError):
        lines = [line.split() for line in Path("/proc/net/if_inet6").read_text().splitlines()]
        # Not those of a link alone (scope 20): a browser takes no address with a zone in it.
        return [str(ipaddress.IPv6Address(int(fields[0], 16))) for fields in lines if fields[3] == "00"]
    return []
