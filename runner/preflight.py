"""Whether the services that a person named by URL answer: asked before anything is started."""

import secrets
import socket
import ssl
from urllib.parse import SplitResult, unquote, urlsplit

import psycopg2
import redis

from runner.environment import without_password
from runner.problem import Problem

SECONDS = 5
OLDEST_POSTGRESQL = 150000

CONNACK_REFUSALS = {
    2: "the client id is refused",
    3: "it is unavailable",
    4: "wrong user or password",
    5: "not authorized (user or password?)",
}


def check(name: str, url: str) -> None:
    """`name` is DATABASE_URL, REDIS_URL or MQTT_URL. Raises Problem; never shows a password."""
    schemes, example, ask = {
        "DATABASE_URL": (("postgres", "postgresql"), "postgres://user:password@host:5432/name", _postgres),
        "REDIS_URL": (("redis", "rediss"), "redis://:password@host:6379/0", _redis),
        "MQTT_URL": (("mqtt", "mqtts"), "mqtt://user:password@host:1883", _mqtt),
    }[name]
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Problem(f"{name} is no URL; write {example}") from None
    if parts.scheme not in schemes or not parts.hostname:
        raise Problem(f"{name} must look like {example}")
    where = f"{parts.hostname}:{port}" if port else parts.hostname
    try:
        ask(url, parts)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Problem(
            f"{name}: no answer from {where}: {without_password(reason, url)} "
            f"(start it or mend {name}; without {name}, `make run` brings its own)"
        ) from None


def _postgres(url: str, parts: SplitResult) -> None:
    connection = psycopg2.connect(url, connect_timeout=SECONDS)
    version = connection.server_version
    connection.close()
    if version < OLDEST_POSTGRESQL:
        raise ValueError(f"it is PostgreSQL {version // 10000}; 15 is the oldest that will do")


def _redis(url: str, parts: SplitResult) -> None:
    client = redis.Redis.from_url(url, socket_connect_timeout=SECONDS, socket_timeout=SECONDS, retry=None)
    try:
        client.ping()
    finally:
        client.close()


def _mqtt(url: str, parts: SplitResult) -> None:
    """Connect as a guest with a clean session, and leave."""
    secure = parts.scheme == "mqtts"
    assert parts.hostname
    address = (parts.hostname, parts.port or (8883 if secure else 1883))
    with socket.create_connection(address, timeout=SECONDS) as plain:
        plain.settimeout(SECONDS)
        connection = plain
        if secure:
            connection = ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname)
        connection.sendall(_connect(parts))
        answer = b""
        while len(answer) < 4:
            part = connection.recv(4 - len(answer))
            if not part:
                raise ConnectionError("it closed the connection; is it an MQTT broker, and the scheme right?")
            answer += part
        if answer[0] != 0x20:
            raise ConnectionError("what answers is no MQTT broker")
        if answer[3] in CONNACK_REFUSALS:
            raise ConnectionError(CONNACK_REFUSALS[answer[3]])
        connection.sendall(b"\xe0\x00")


def _connect(parts: SplitResult) -> bytes:
    """A CONNECT packet of MQTT 3.1.1."""

    def text(value: str) -> bytes:
        raw = value.encode()
        return len(raw).to_bytes(2, "big") + raw

    flags, payload = 0x02, text(f"preflight-{secrets.token_hex(6)}")
    if parts.username:
        flags |= 0x80
        payload += text(unquote(parts.username))
    if parts.password:
        flags |= 0x40
        payload += text(unquote(parts.password))
    body = text("MQTT") + bytes([4, flags, 0, 30]) + payload
    length, remaining = b"", len(body)
    while True:
        remaining, digit = divmod(remaining, 128)
        length += bytes([digit | (0x80 if remaining else 0)])
        if not remaining:
            return b"\x10" + length + body
