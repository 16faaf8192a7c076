"""A web server and a mail server that keep what they are sent, answer as they are told, and may be killed."""

import socketserver
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    """By names in lower case."""
    body: bytes


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Receiver:
    """`port` stays the same when it is started again."""

    def __init__(self) -> None:
        self.port = 0
        self._server: socketserver.BaseServer | None = None

    @property
    def is_up(self) -> bool:
        return self._server is not None

    def start(self) -> None:
        self._server = self._make()
        self.port = self._server.server_address[1]  # type: ignore[index]
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _make(self) -> socketserver.BaseServer:
        raise NotImplementedError


class Web(_Receiver):
    """`answers`: (status, headers) of the next requests; then 204. `seen`: all that came."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Request] = []
        self.answers: list[tuple[int, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?of=alerts"

    def _make(self) -> socketserver.BaseServer:
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                web.seen.append(Request(self.command, self.path, headers, body))
                status, said = web.answers.pop(0) if web.answers else (204, {})
                self.send_response(status)
                for name, value in said.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *args: Any) -> None:
                pass

        return ThreadingHTTPServer(("127.0.0.1", self.port), Handler)


class Mail(_Receiver):
    """`refuses`: what is said to recipients, such as {"ben@example.org": "550 no such user"}; `refuses_data`:
    instead of taking the message."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[list[str], EmailMessage]] = []
        self.refuses: dict[str, str] = {}
        self.refuses_data = ""

    def _make(self) -> socketserver.BaseServer:
        mail = self

        class Handler(socketserver.StreamRequestHandler):
            def say(self, line: str) -> None:
                self.wfile.write(f"{line}\r\n".encode())

            def handle(self) -> None:
                self.say("220 mail.example.org")
                recipients: list[str] = []
                while line := self.rfile.readline():
                    word, _, rest = line.decode().strip().partition(" ")
                    match word.upper():
                        case "EHLO" | "HELO":
                            self.say("250 mail.example.org")
                        case "RCPT":
                            who = rest.partition("<")[2].partition(">")[0]
                            refusal = mail.refuses.get(who)
                            if refusal is None:
                                recipients.append(who)
                            self.say(refusal or "250 ok")
                        case "DATA":
                            self.say("354 go on")
                            body = b""
                            while (part := self.rfile.readline()) not in (b".\r\n", b""):
                                body += part.removeprefix(b".") if part.startswith(b"..") else part
                            if mail.refuses_data:
                                self.say(mail.refuses_data)
                                continue
                            found = message_from_bytes(body, policy=policy.default)
                            assert isinstance(found, EmailMessage)
                            mail.seen.append((recipients, found))
                            self.say("250 kept")
                        case "QUIT":
                            self.say("221 bye")
                            return
                        case _:
                            self.say("250 ok")

        return _Server(("127.0.0.1", self.port), Handler)
