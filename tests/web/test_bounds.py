"""A stranger at the real web server: heads without end, requests that never come whole, bodies that stall.

What is asked for is /healthz, which needs neither a database nor Redis.
"""

import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.journey.system import wait_for
from tests.runner.running import free_port

PROJECT = Path(__file__).parents[2]
CONNECTIONS = 200
GOOD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Server:
    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port, self.process = port, process

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def ask(self, request: bytes = GOOD) -> bytes:
        """The answer's first line, or nothing where the connection was closed without one."""
        with self.connect() as client:
            client.sendall(request)
            return first_line(client)

    def memory(self) -> int:
        """MiB that it has held at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) // 1024


def first_line(client: socket.socket) -> bytes:
    try:
        return client.recv(4096).partition(b"\r\n")[0]
    except ConnectionError:
        return b""


def read_answers(client: socket.socket, count: int) -> None:
    answers = b""
    while answers.count(b"\r\n\r\nok\n") < count:
        part = client.recv(65_536)
        assert part, answers
        answers += part
    assert answers.count(b"HTTP/1.1 200 OK") == count


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    log = tmp_path_factory.mktemp("web") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "config.web", "--port", str(port)],
            cwd=PROJECT,
            env=os.environ | {"WEB_MAX_CONNECTIONS": str(CONNECTIONS)},
            stdout=output,
            stderr=output,
        )
    server = Server(port, process)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return server.ask() == b"HTTP/1.1 200 OK"
        except OSError:
            return False

    try:
        wait_for(answers, "the web server")
        yield server
    finally:
        process.kill()
        process.wait()


def head_of(size: int) -> bytes:
    """A whole head of so many bytes, in headers of less than 8 KiB."""
    head = GOOD[:-2]
    while (room := size - len(head) - 2) > 0:
        value = min(room, 8000) - len(b"X: \r\n")
        if 0 < room - 8000 < 16:
            value -= 16
        head += b"X: " + b"a" * value + b"\r\n"
    return head + b"\r\n"


def test_a_head_of_64_kib_is_taken_and_one_byte_more_is_not(server: Server) -> None:
    assert len(head_of(65_536)) == 65_536
    assert server.ask(head_of(65_536)) == b"HTTP/1.1 200 OK"
    # The second, where the connection is reset before the answer is read.
    assert server.ask(head_of(65_537)) in (b"HTTP/1.1 431 Request Header Fields Too Large", b"")


@pytest.mark.parametrize(
    "before",
    [
        GOOD[:-2] + b"X: ",
        b"GET /",
        GOOD.replace(b"GET", b"POST")[:-2] + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ",
        GOOD.replace(b"GET", b"POST")[:-2] + b"Transfer-Encoding: chunked\r\n\r\n1;",
    ],
    ids=["a header", "a path", "a trailer", "a chunk's extension"],
)
def test_64_mb_that_are_no_body_are_not_held(server: Server, before: bytes) -> None:
    memory = server.memory()
    part = b"a" * 2**16

    def send(client: socket.socket) -> None:
        client.sendall(before)
        for _ in range(1024):
            client.sendall(part)

    with server.connect() as client, pytest.raises(ConnectionError):
        send(client)
    assert server.ask() == b"HTTP/1.1 200 OK"
    assert server.memory() - memory < 8


def test_a_flood_of_requests_on_one_connection_is_not_held(server: Server) -> None:
    memory = server.memory()
    with server.connect() as client:
        with suppress(ConnectionError):
            client.sendall(GOOD.replace(b"healthz", b"nothing") * 20_000)
        while first_line(client):
            pass
    assert server.ask() == b"HTTP/1.1 200 OK"
    assert server.memory() - memory < 24


def test_requests_one_after_the_other_share_a_connection(server: Server) -> None:
    with server.connect() as client:
        for _ in range(50):
            client.sendall(GOOD)
            read_answers(client, 1)
        client.sendall(GOOD * 5)
        read_answers(client, 5)


def test_half_sent_requests_do_not_keep_anybody_out_and_are_given_up(server: Server) -> None:
    memory, began = server.memory(), time.monotonic()
    halves = [server.connect() for _ in range(800)]
    try:
        for half in halves:
            with suppress(ConnectionError):
                half.sendall(GOOD[:-4])
        # Four times as many as there are places: the good ones are answered all the same.
        for _ in range(5):
            assert server.ask() == b"HTTP/1.1 200 OK"
        ends = {b"": 0, b"HTTP/1.1 408 Request Timeout": 0}
        for half in halves:
            ends[first_line(half)] += 1
        assert 0 < ends[b"HTTP/1.1 408 Request Timeout"] <= CONNECTIONS
        assert time.monotonic() - began > 9, "nobody was given the time to send the rest"
    finally:
        for half in halves:
            half.close()
    assert server.memory() - memory < 32


def test_what_trickles_is_given_up_too(server: Server) -> None:
    """Nothing, a head and a body of a byte now and then, line ends, a body that stalls."""
    post = GOOD.replace(b"GET", b"POST")[:-2] + b"Content-Length: 100000\r\n\r\n"
    clients = {
        name: (server.connect(), drop)
        for name, drop in {
            "nothing": b"",
            "head": b"a",
            "body": b"a",
            "ends": b"\r\n",
            "stalled": b"",
        }.items()
    }
    clients["head"][0].sendall(GOOD[:-2] + b"X: ")
    clients["body"][0].sendall(post)
    clients["stalled"][0].sendall(post + b"a" * 1000)
    clients["ends"][0].sendall(GOOD)
    read_answers(clients["ends"][0], 1)
    ends: dict[str, bytes] = {}
    deadline = time.monotonic() + 60
    while len(ends) < len(clients):
        assert time.monotonic() < deadline, f"still open: {clients.keys() - ends.keys()}"
        open_ones = {client: name for name, (client, _) in clients.items() if name not in ends}
        for client in select.select(list(open_ones), [], [], 0.5)[0]:
            ends[open_ones[client]] = first_line(client)
        for client, name in open_ones.items():
            if name not in ends:
                try:
                    client.sendall(clients[name][1])
                except ConnectionError:
                    ends[name] = b""
    for client, _ in clients.values():
        client.close()
    assert ends["nothing"] == b""
    assert all(b"408" in ends[name] or ends[name] == b"" for name in ends)
    assert b"408" in ends["stalled"]


def test_a_slow_body_that_keeps_coming_is_taken(server: Server) -> None:
    """For longer than a stall may last: what counts is that it goes on."""
    with server.connect() as client:
        client.sendall(GOOD.replace(b"GET", b"POST")[:-2] + b"Content-Length: 12000\r\n\r\n")
        for _ in range(12):
            # Not a wait for something to happen: this is the slow client.
            assert not select.select([client], [], [], 1.0)[0], first_line(client)
            client.sendall(b"a" * 1000)
        assert first_line(client).startswith(b"HTTP/1.1 ")


def test_bodies_together_are_bounded(server: Server) -> None:
    """Each is under its own bound; 60 of them at once would be 120 MB."""
    memory = server.memory()
    size = 2_000_000
    head = GOOD.replace(b"GET", b"POST")[:-2] + b"Content-Length: %d\r\n\r\n" % (size + 1)
    clients = [server.connect() for _ in range(60)]
    refused = 0
    for client in clients:
        try:
            client.sendall(head + b"a" * size)
        except ConnectionError:
            refused += 1
    assert server.ask() == b"HTTP/1.1 200 OK"
    refused += sum(b"503" in first_line(client) for client in select.select(clients, [], [], 5)[0])
    for client in clients:
        client.close()
    assert refused
    assert server.memory() - memory < 150
