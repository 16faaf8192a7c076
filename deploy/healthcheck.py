"""Is the process of this container at its work? Exit code 0; or 1 and a line that says why not.

    python -SE deploy/healthcheck.py beat worker    it renews its heartbeat in Redis (process/heartbeat.py)
    python -SE deploy/healthcheck.py http 8000      it answers HTTP, with whatever but a server error

Speaks over sockets of its own: importing a client for Redis costs six times what all of this costs, and
every container pays it every few seconds.
"""

import os
import socket
import sys
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

SECONDS = 3


class UnwellError(Exception):
    """Why it is not well, in a few words."""


def beats(process: str) -> None:
    """Looks at the heartbeat that `process` writes on this host. Raises UnwellError, OSError, ValueError."""
    url = urlsplit(given("REDIS_URL"))
    if not url.hostname:
        raise ValueError("not an address")
    if process == "bridge" and (name := given("BRIDGE_NAME")) not in ("", "default"):
        process = f"bridge@{name}"
    said = ask(
        url.scheme,
        url.hostname,
        url.port or 6379,
        *login(url.username, url.password, parse_qs(url.query).get("db", [url.path])[0]),
        ["GET", f"iot:heartbeat:{process}:{socket.gethostname()}"],
    )
    if said != "ok":
        raise UnwellError(said or "no heartbeat")


def given(name: str) -> str:
    """A variable as process/environment.py reads it: the file that NAME_FILE names comes first."""
    file = os.environ.get(f"{name}_FILE")
    return (Path(file).read_text() if file else os.environ.get(name, "")).strip()


def login(user: str | None, password: str | None, path: str) -> list[list[str]]:
    """The commands before the first: AUTH and SELECT, where the address asks for them."""
    auth = [["AUTH", *filter(None, [unquote(user or "")]), unquote(password)]] if password else []
    return auth + ([["SELECT", database]] if (database := path.strip("/")) else [])


def ask(scheme: str, host: str, port: int, *commands: list[str]) -> str:
    """Redis' answer to the last of the commands; empty where there is no such key. Raises OSError."""
    answer = b""
    with socket.create_connection((host, port), SECONDS) as connection:
        if scheme == "rediss":
            import ssl

            connection = ssl.create_default_context().wrap_socket(connection, server_hostname=host)
        stream = connection.makefile("rwb")
        for command in commands:
            words = [word.encode() for word in command]
            stream.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))
            stream.flush()
            head = stream.readline().strip()
            if head[:1] in (b"", b"-"):
                raise OSError(f"{command[0]}: {head[1:].decode(errors='replace') or 'no answer'}")
            length = int(head[1:]) if head[:1] == b"$" else -1
            answer = stream.read(length + 2)[:length] if length >= 0 else b""
    return answer.decode(errors="replace")


def answers(port: int) -> None:
    """Whether it answers HTTP. Who may ask for what is not looked at. Raises UnwellError, OSError."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        status = connection.makefile("rb").readline().split()[:2]
    if len(status) < 2 or not status[0].startswith(b"HTTP/") or status[1].startswith(b"5"):
        raise UnwellError("a server error")


def main(how: str, what: str) -> None:
    try:
        answers(int(what)) if how == "http" else beats(what)
    except UnwellError as error:
        sys.exit(f"{what}: {error}")
    except ValueError:  # its text would quote the address, and so perhaps a part of the password
        sys.exit(f"{what}: cannot ask Redis: REDIS_URL is not an address")
    except OSError as error:
        asked = "it" if how == "http" else "Redis (REDIS_URL)"
        sys.exit(f"{what}: cannot ask {asked}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
