"""Is the process of this container at its work? Exit code 0; or 1 and a line that says why not.

    python -SE deploy/healthcheck.py beat worker    it renews its heartbeat in Redis
    python -SE deploy/healthcheck.py http 8000      it answers HTTP, with whatever but a server error

Speaks over sockets of its own: importing a client for Redis costs six times what all of this costs, and
every container pays it every few seconds.
"""

import os
import socket
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

SECONDS = 3


def beats(process: str, redis_url: str) -> bool:
    """Whether the heartbeat that `process` writes in this container is fresh. Raises OSError, ValueError."""
    url = urlsplit(redis_url)
    commands = [["EXISTS", f"iot:heartbeat:{process}:{socket.gethostname()}"]]
    if database := url.path.strip("/"):
        commands.insert(0, ["SELECT", database])
    if url.password:
        commands.insert(0, ["AUTH", *filter(None, [unquote(url.username or "")]), unquote(url.password)])
    with socket.create_connection((url.hostname or "localhost", url.port or 6379), SECONDS) as connection:
        if url.scheme == "rediss":
            import ssl

            connection = ssl.create_default_context().wrap_socket(connection, server_hostname=url.hostname)
        stream = connection.makefile("rwb")
        for command in commands:
            words = [word.encode() for word in command]
            stream.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))
            stream.flush()
            answer = stream.readline().decode(errors="replace").strip()
            if not answer or answer.startswith("-"):
                raise OSError(f"Redis answers {command[0]} with: {answer[1:] or 'nothing'}")
    return answer == ":1"


def answers(port: int) -> bool:
    """Whether it answers HTTP, with whatever but a server error. Raises OSError."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        status = connection.makefile("rb").readline().split()
    return len(status) > 1 and status[0].startswith(b"HTTP/") and not status[1].startswith(b"5")


def main(how: str, what: str) -> None:
    try:
        if how == "http":
            well = answers(int(what))
        else:
            file = os.environ.get("REDIS_URL_FILE")
            well = beats(what, Path(file).read_text().strip() if file else os.environ["REDIS_URL"])
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{what}: {type(error).__name__}: {error}")
    sys.exit(None if well else f"{what}: {'no heartbeat' if how == 'beat' else 'a server error'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
