"""One POST or GET, to the internet alone, with an end in time; redirects are not followed."""

import contextlib
import http.client
import math
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple

from django.conf import settings
from django.utils.translation import gettext

from monitoring import __version__
from monitoring.alerts.address import PrivateAddressError, open_connection, split_url
from monitoring.alerts.channels.outcome import NotSentError

CONNECT_SECONDS = 5.0
# Between two bytes, and for all of it.
SILENT_SECONDS = 10.0
WHOLE_SECONDS = 20.0
# What an answer says is not shown: whoever sets up a channel would read services that only we can reach.
READ_BYTES = 4_096
# By these the receiver says that the error is transient; any other refusal below 500 is for good.
PASSES = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
# Of these it dislikes what this message says, not where and as whom it was sent.
THIS_MESSAGE_ALONE = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}


class Answer(NamedTuple):
    status: int
    body: bytes


class _Plain(http.client.HTTPConnection):
    """`ends`: as `monotonic` counts; `end` is to be called then, by another thread."""

    may_be_private = False
    ends = math.inf

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.is_over = threading.Event()
        # `sock` is None again while an answer is read after which the connection closes.
        self._connected: socket.socket | None = None

    def connect(self) -> None:
        sock = open_connection(self.host, self.port, CONNECT_SECONDS, self.may_be_private, self.ends)
        self.sock = self._connected = self._wrapped(sock)
        # Whoever ended it before there was a socket had nothing to shut.
        if self.is_over.is_set():
            raise TimeoutError
        self._greet()

    def end(self) -> None:
        """Whoever waits for a byte has the end of the stream instead."""
        self.is_over.set()
        if self._connected is not None:
            with contextlib.suppress(OSError):
                # Not the way of TLS's own socket, which forgets first that it is one: what the other thread
                # writes just then would go out in plain text.
                socket.socket.shutdown(self._connected, socket.SHUT_RDWR)

    def _wrapped(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(SILENT_SECONDS)
        return sock

    def _greet(self) -> None:
        pass


class _Tls(_Plain, http.client.HTTPSConnection):
    def _wrapped(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(SILENT_SECONDS)
        # Its handshake comes once `end` knows the socket: the one that it is made of is detached.
        return ssl.create_default_context().wrap_socket(
            sock, server_hostname=self.host, do_handshake_on_connect=False
        )

    def _greet(self) -> None:
        assert isinstance(self.sock, ssl.SSLSocket)
        self.sock.do_handshake()


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Raises NotSentError for anything but a 2xx."""
    return _ask("POST", url, body, headers)


def get(url: str, may_be_private: bool = False) -> Answer:
    """Raises NotSentError for anything but a 2xx."""
    return _ask("GET", url, None, {}, may_be_private)


def _ask(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], may_be_private: bool = False
) -> Answer:
    may_be_private = may_be_private or settings.ALERTS_ALLOW_PRIVATE
    try:
        parts = split_url(url, may_be_private)
    except ValueError as error:
        raise NotSentError(str(error), is_channels_fault=True) from None
    assert parts.hostname
    kind = _Tls if parts.scheme == "https" else _Plain
    # Without a port it would take what is behind the last colon of an IPv6 address for one.
    connection = kind(parts.hostname, parts.port or kind.default_port)
    connection.may_be_private = may_be_private
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    said = {"User-Agent": f"IoT-Monitor/{__version__}", "Accept": "*/*", "Connection": "close", **headers}
    connection.ends = time.monotonic() + WHOLE_SECONDS
    timer = threading.Timer(WHOLE_SECONDS, connection.end)
    timer.daemon = True
    timer.start()
    try:
        connection.request(method, target, body, said)
        response = connection.getresponse()
        answer = Answer(response.status, response.read(READ_BYTES))
        retry_after = seconds_of(response.getheader("Retry-After"))
    except PrivateAddressError as error:
        raise NotSentError(str(error), is_channels_fault=True) from None
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise NotSentError(_why(error, connection.is_over.is_set())) from None
    finally:
        timer.cancel()
        connection.close()
    _judge(answer.status, retry_after)
    return answer


def _judge(status: int, retry_after: float | None) -> None:
    if 200 <= status < 300:
        return
    with contextlib.suppress(ValueError):
        name = HTTPStatus(status).phrase
        why = gettext("the receiver answers %(code)s") % {"code": f"{status} {name}"}
        if 300 <= status < 400:
            why = gettext("%(why)s, and redirects are not followed") % {"why": why}
        if status >= 500 or status in PASSES:
            raise NotSentError(why, retry_after=retry_after)
        raise NotSentError(why, for_good=True, is_channels_fault=status not in THIS_MESSAGE_ALONE)
    raise NotSentError(gettext("the receiver answers %(code)s") % {"code": status}, retry_after=retry_after)


def seconds_of(retry_after: str | None) -> float | None:
    """Of a Retry-After header, which says seconds or a date; None where it says neither."""
    if not retry_after:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
        return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None


def _why(error: Exception, is_over: bool) -> str:
    if is_over or isinstance(error, TimeoutError):
        return gettext("there was no answer in time")
    if isinstance(error, ssl.SSLCertVerificationError):
        return gettext("its certificate is not trusted: %s") % error.verify_message
    if isinstance(error, ssl.SSLError):
        return gettext("there is no TLS with it: %s") % (error.reason or type(error).__name__)
    if isinstance(error, socket.gaierror):
        return gettext("the name of the host is not known: %s") % error.strerror
    if isinstance(error, OSError) and error.strerror:
        return gettext("no connection: %s") % error.strerror
    return gettext("the answer is not HTTP: %s") % type(error).__name__


def unix_now() -> int:
    return int(time.time())
