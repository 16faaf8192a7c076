"""Addresses of services, which hold passwords: one way to split them, and none to repeat a secret.

What a library says of an address that it does not understand often quotes the part that it stumbled over, and
with a reserved character in a password that is a part of the password. So an address is looked at here before
any library sees it, and what libraries say later passes through `without_secrets`.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, unquote_plus, urlsplit

from marshmallow import ValidationError

ENCODE = "in its user and password write / ? # @ [ ] % and a blank as %2F %3F %23 %40 %5B %5D %25 %20"
# Each separator has one meaning. An @ after the first / ? # means that one of these belongs to the password.
_SHAPE = re.compile(
    r"""(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://
    (?: (?: [^/?\#\[\]%\s\x00-\x20\x7f] | %[0-9a-fA-F]{2} )* @ )?
    (?: \[[0-9a-fA-F:.]+(?:%[\w.-]+)?\] | [^/?\#@\[\]:\s\x00-\x20\x7f]+ )
    (?: :(?P<port>[0-9]{1,5}) )?
    (?: /[^?\#@\s\x00-\x20\x7f]* )?
    (?: \?[^\#@\s\x00-\x20\x7f]* )?""",
    re.VERBOSE,
)
_SECRET_NAME = re.compile("pass|secret|token", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(rf"(?:{_SECRET_NAME.pattern})[^&=]*=(?P<all_behind>.*)", re.IGNORECASE)


def split(url: str, schemes: Collection[str], example: str) -> SplitResult:
    """An address with one of the schemes, a host, and a port from 1 to 65535 or none.

    Raises ValueError, which gives the example and no part of the address.
    """
    found = _SHAPE.fullmatch(url)
    try:
        if found and found["scheme"] in schemes and 0 < int(found["port"] or 1) < 65536:
            return urlsplit(url)
    except ValueError:
        pass
    raise ValueError(f"not an address: {example}; {ENCODE}") from None


def redis(url: str) -> None:
    """What Celery and the healthcheck can use too. Raises ValidationError."""
    from redis.connection import parse_url

    example = "redis://:password@host:6379/0"
    _check(url, ("redis", "rediss"), example)
    try:
        parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:
        raise ValidationError(f"not an address: {example}, and behind ? only what redis-py knows") from None


def postgres(url: str) -> None:
    """Raises ValidationError."""
    _check(url, ("postgres", "postgresql"), "postgres://user:password@host:5432/name")


# Scheme: port, and how TLS comes: not, by STARTTLS, or from the first byte.
_SMTP = {"smtp": (25, ""), "submission": (587, "use_tls"), "smtps": (465, "use_ssl")}


def email(url: str) -> None:
    """Raises ValidationError."""
    _check(url, _SMTP, "submission://user:password@host:587, smtps://host:465, or smtp://host:25 without TLS")


def email_parameters(url: str | None) -> dict[str, Any]:
    """What Django's EMAIL_* are made of; of an address that `email` does not take there is nothing."""
    try:
        parts = split(url or "", _SMTP, "")
    except ValueError:
        return {}
    port, tls = _SMTP[parts.scheme]
    return {
        "host": parts.hostname or "",
        "port": parts.port or port,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
    } | ({tls: True} if tls else {})


def site(url: str) -> None:
    """Raises ValidationError."""
    _check(url, ("http", "https"), "https://iot.example.org")


def _check(url: str, schemes: Collection[str], example: str) -> None:
    try:
        split(url, schemes, example)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def postgres_parameters(url: str) -> dict[str, Any]:
    """What psycopg2 connects with, split as Django's settings have it: libpq itself splits in another way."""
    import dj_database_url

    parts = dj_database_url.parse(url)
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    given = {name: parts[key] for name, key in names.items() if parts[key]}  # type: ignore[literal-required]
    return parts.get("OPTIONS", {}) | given


def without_secrets(text: str, url: str) -> str:
    """`text`, about `url`, with the password blotted out; none of it where a part might be left in there."""
    secrets = sorted(_secrets(url), key=lambda secret: (-len(secret), secret))
    for secret in secrets:
        text = text.replace(secret, "***")
    # Only now: "more of it" begins as "more+of+it" does, and is no part left over of that.
    if any(secret[at : at + 4] in text for secret in secrets for at in range(len(secret) - 3)):
        return "(what was said of it repeats a part of a secret)"
    return text


def host_and_port(url: str) -> str:
    """`host:port`, of an address that `split` takes; the host alone where it names no port."""
    return urlsplit(url).netloc.rpartition("@")[2]


def without_login(url: str) -> str:
    """For people to read: without user and password and what is behind the ?."""
    return f"{urlsplit(url).scheme}://{host_and_port(url)}{urlsplit(url).path}"


def _secrets(url: str) -> set[str]:
    """As written and decoded: the password (a lone word before the @ is one), and secrets behind the ?."""
    found: set[str] = set()
    try:
        parts = urlsplit(url)
    except ValueError:
        found.add(url.partition("://")[2])
    else:
        login = parts.netloc.rpartition("@")[0]
        user, colon, password = login.partition(":")
        found |= {password if colon else user, *_secret_parameters(parts.query)}
    return {form for secret in found for form in (secret, unquote(secret)) if form}


def _secret_parameters(query: str) -> Iterator[str]:
    for name, value in parse_qsl(query):
        if _SECRET_NAME.search(name):
            yield value
    # Where an & in a password is not encoded, what comes after it is a part of the password too.
    if found := _SECRET_PARAMETER.search(query):
        yield found["all_behind"]
        yield unquote_plus(found["all_behind"])
