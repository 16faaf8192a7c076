"""Connections to addresses that people typed in: to the internet alone, unless ALERTS_ALLOW_PRIVATE=1.

Whoever may set up a channel could otherwise have this server ask its own services and those of its network.
The address that is looked at is the one that is connected to: a name that says something else the next time
(DNS rebinding) gains nothing.
"""

import ipaddress
import math
import socket
from time import monotonic
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext

# Addresses that stand for one of IPv4, which is the one that counts.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class PrivateAddressError(OSError):
    """The address is not one of the internet."""


def open_connection(
    host: str, port: int, seconds: float, may_be_private: bool = False, ends: float = math.inf
) -> socket.socket:
    """A TCP connection to the first address of the host that takes it; so many seconds for each.

    `ends`: of all of them, as `monotonic` counts. Looking up the name is not cut short.
    Raises PrivateAddressError where it has none but private ones, and OSError: TimeoutError at the end.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    allowed = [one for one in found if may_be_private or is_public(str(one[4][0]))]
    if not allowed:
        raise PrivateAddressError(
            gettext("%(host)s is not an address of the internet; ALERTS_ALLOW_PRIVATE=1 allows others")
            % {"host": host}
        )
    error: OSError | None = None
    for family, kind, protocol, _name, address in allowed:
        left = ends - monotonic()
        if left <= 0:
            raise TimeoutError
        sock = socket.socket(family, kind, protocol)
        sock.settimeout(min(seconds, left))
        try:
            # A numeric address: no name is looked up again.
            sock.connect(address)
        except OSError as failed:
            sock.close()
            error = failed
        else:
            return sock
    assert error is not None
    raise error


def is_public(address: str) -> bool:
    """Whether it is of the internet: not of this machine, a private network, a link, or a group."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
        # fec0::/10, private networks of old, which Python takes for global.
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def split_url(url: str, may_be_private: bool | None = None) -> SplitResult:
    """An http:// or https:// address. Raises ValueError, with a sentence for whoever typed it in.

    `may_be_private`: as ALERTS_ALLOW_PRIVATE has it, unless given.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(gettext("This is not an address: https://host/path")) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(gettext("This is not an address: https://host/path"))
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(
            gettext("An address has no blank and no letter beyond ASCII; such are percent-encoded.")
        )
    if parts.username is not None or parts.password is not None:
        raise ValueError(gettext("User and password do not belong into the address."))
    if may_be_private is None:
        may_be_private = settings.ALERTS_ALLOW_PRIVATE
    if not may_be_private and _is_private_by_its_looks(parts.hostname):
        raise ValueError(
            gettext("%(host)s is not an address of the internet; ALERTS_ALLOW_PRIVATE=1 allows others")
            % {"host": parts.hostname}
        )
    return parts


def _is_private_by_its_looks(host: str) -> bool:
    """Where no name needs to be looked up; the rest is found out when it is connected to."""
    try:
        return not is_public(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
