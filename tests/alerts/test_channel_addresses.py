"""Where HTTP channels may send to, and for how long they may try."""

import queue
import socket
import threading
from typing import Any, NoReturn

import pytest

from monitoring.alerts import address, channels
from monitoring.alerts.channels import NotSentError, http
from tests.alerts.conftest import KEY, MESSAGE
from tests.alerts.receivers import Web


@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fec0::1", "fc00::1", "ff02::1",
        "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:db8::1", "240.0.0.1",
    ],
)  # fmt: skip
def test_what_is_not_of_the_internet_is_private(ip: str) -> None:
    assert not address.is_public(ip)


@pytest.mark.parametrize("ip", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_what_is_of_the_internet_is_not(ip: str) -> None:
    assert address.is_public(ip)


def test_a_name_that_turns_private_is_not_connected_to(
    web: Web, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is public when the channel is set up, and says something else when it is used."""
    settings.ALERTS_ALLOW_PRIVATE = False
    found = address.socket.getaddrinfo("127.0.0.1", web.port, type=address.socket.SOCK_STREAM)
    monkeypatch.setattr(address.socket, "getaddrinfo", lambda *args, **kwargs: found)
    kept = channels.check("webhook", {"url": f"http://rebinding.example.org:{web.port}/"})
    with pytest.raises(NotSentError, match="ALERTS_ALLOW_PRIVATE") as raised:
        channels.send("webhook", kept, MESSAGE, KEY)
    assert raised.value.is_channels_fault
    assert web.seen == []
    settings.ALERTS_ALLOW_PRIVATE = True
    channels.send("webhook", kept, MESSAGE, KEY)
    assert web.seen[0].headers["host"] == f"rebinding.example.org:{web.port}"


@pytest.mark.parametrize("ip", ["2606:4700::1111", "2606:4700::abcd"])
@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_an_ipv6_address_needs_no_port(
    ip: str, scheme: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def open_connection(host: str, port: int, *args: Any) -> NoReturn:
        asked.append((host, port))
        raise ConnectionRefusedError

    monkeypatch.setattr(http, "open_connection", open_connection)
    with pytest.raises(NotSentError):
        http.get(f"{scheme}://[{ip}]/")
    assert asked == [(ip, port)]


def test_all_addresses_of_a_host_together_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five that answer nothing, of which each may take 5 s, where 12 are left."""
    clock, waited = [100.0], []

    class Dropping(socket.socket):
        def connect(self, to: Any) -> NoReturn:
            seconds = self.gettimeout()
            assert seconds is not None
            waited.append(seconds)
            clock[0] += seconds
            raise TimeoutError

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"1.1.1.{last}", 80)) for last in range(1, 6)]
    monkeypatch.setattr(address.socket, "getaddrinfo", lambda *args, **kwargs: found)
    monkeypatch.setattr(address.socket, "socket", Dropping)
    monkeypatch.setattr(address, "monotonic", lambda: clock[0])
    with pytest.raises(TimeoutError):
        address.open_connection("dropping.example.org", 80, 5.0, ends=112.0)
    assert waited == [5.0, 5.0, 2.0]


@pytest.mark.parametrize(
    ("scheme", "first"), [("https", b""), ("http", b""), ("http", b"HTTP/1.0 200 OK\r\n\r\n")]
)
def test_whoever_never_ends_is_hung_up_on(
    scheme: str, first: bytes, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the handshake of TLS, before an answer, and within one that keeps the connection for itself."""
    settings.ALERTS_ALLOW_PRIVATE = True
    monkeypatch.setattr(http, "WHOLE_SECONDS", 3.0)
    monkeypatch.setattr(http, "SILENT_SECONDS", 60.0)
    ended = queue.Queue[bool]()

    def never_end(server: socket.socket) -> None:
        sock, _ = server.accept()
        with sock:
            sock.settimeout(20)
            sock.sendall(first)
            try:
                while sock.recv(4096):
                    pass
                ended.put(True)
            except TimeoutError:
                ended.put(False)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=never_end, args=(server,), daemon=True).start()
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/"
        if first:
            assert http.get(url).status == 200
        else:
            with pytest.raises(NotSentError, match="in time"):
                http.get(url)
        assert ended.get(timeout=30)


def test_a_name_that_was_looked_up_too_late_is_not_asked(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """There was no socket yet to shut when the time was over."""

    def open_late(host: str, port: int, *args: Any) -> socket.socket:
        for one in threading.enumerate():
            if isinstance(one, threading.Timer):
                one.join(30)
        return socket.create_connection((host, port))

    monkeypatch.setattr(http, "WHOLE_SECONDS", 0.0)
    monkeypatch.setattr(http, "open_connection", open_late)
    with pytest.raises(NotSentError, match="in time"):
        http.get(web.url)
    assert web.seen == []
