"""The web process as somebody outside sees it: HTTP on the published port."""

import base64
import http.client
import json
from typing import Any, NamedTuple

from deploy.test.installation import Installation
from deploy.test.transcript import Failure, require, wait_for


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int,
    path: str,
    method: str = "GET",
    body: str | None = None,
    headers: dict[str, str] | None = None,
    host: str = "127.0.0.1",
) -> Answer:
    """Raises OSError where nobody answers."""
    connection = http.client.HTTPConnection(host, port, timeout=15)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    except http.client.HTTPException as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


class Api:
    """What somebody with a token reads."""

    def __init__(self, installation: Installation, token: str) -> None:
        self.port = installation.web_port
        self.token = token

    @classmethod
    def login(cls, installation: Installation, user: str, password: str) -> "Api":
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        login = ask(
            installation.web_port, "/api/auth/login/", "POST", headers={"Authorization": f"Basic {basic}"}
        )
        require(login.status == 200, f"logging in as {user}: {login.status} {login.body[:300]!r}")
        return cls(installation, login.json()["token"])

    def get(self, path: str) -> Any:
        """Under /api/monitoring/. Raises OSError where it does not answer with 200."""
        answer = ask(self.port, f"/api/monitoring/{path}", headers={"Authorization": f"Token {self.token}"})
        if answer.status in (401, 403):
            raise Failure(f"{path}: {answer.status} {answer.body[:300]!r}")
        if answer.status != 200:
            raise OSError(f"{path}: {answer.status} {answer.body[:300]!r}")
        return answer.json()

    def in_ledger(self) -> int:
        return int(self.get("pipeline/")["ledger"]["messages"])

    def at_rest(self, seconds: float = 120) -> dict[str, Any]:
        """The books once nothing is pending and nothing more comes in."""
        before: list[Any] = []

        def rests() -> dict[str, Any] | None:
            books = self.get("pipeline/")
            now = (books["handed_over"], books["ledger"]["messages"])
            same, before[:] = before == [now], [now]
            return books if same and books["pending"]["messages"] == 0 and books["balanced"] else None

        return wait_for(rests, "the books to balance, with nothing pending", seconds)
