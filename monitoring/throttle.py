"""Throttles: wrong passwords and tokens by address, new tokens and readings by user.

Counted in Redis, in fixed windows, so that all web processes count together. Where Redis does not answer,
nothing is throttled (it fails open): who guesses needs more than that moment, and who wants to see what is
wrong must get in.
"""

import hashlib
import ipaddress
import logging
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _

from monitoring.permissions import PermissionsWithUser
from monitoring.store import glance

logger = logging.getLogger(__name__)
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
# An address may be a whole class behind one router: so many people's worth of wrong passwords.
PEOPLE_AT_AN_ADDRESS = 10


class TooOftenError(Exception):
    """The rate is exceeded. `wait`: seconds until a retry makes sense (Retry-After)."""

    def __init__(self, wait: int) -> None:
        super().__init__(f"too often: again in {wait} s")
        self.wait = wait


class Rate(NamedTuple):
    """`most`: how many within so many seconds; 0 is no limit."""

    most: int
    seconds: int

    @classmethod
    def read(cls, text: str) -> "Rate":
        """`10/minute`; second, minute, hour or day. `off` is no limit. Raises ValueError."""
        if text == "off":
            return cls(0, 1)
        found = re.fullmatch(r"([1-9]\d{0,8})/(second|minute|hour|day)", text)
        if found is None:
            raise ValueError(f"not a rate: {text!r}; write 10/minute (or second, hour, day), or off")
        return cls(int(found[1]), SECONDS[found[2]])


def take(what: str, who: str, rate: Rate) -> None:
    """Counts one attempt of `who` at `what`. Raises TooOftenError past the rate, and nothing without
    Redis."""
    if not rate.most:
        return
    key = _key(what, who)
    try:
        with glance().redis.pipeline() as pipe:
            pipe.set(key, 0, ex=rate.seconds, nx=True)
            pipe.incr(key)
            pipe.ttl(key)
            _, count, left = pipe.execute()
    except redis.RedisError as error:
        logger.warning("nothing is throttled, Redis does not answer: %s", error)
        return
    if count > rate.most:
        raise TooOftenError(max(left, 1))


def give_back(what: str, who: str) -> None:
    """Takes back one attempt, which does not count: the password was right."""
    try:
        if glance().redis.decr(key := _key(what, who)) < 0:
            # The window ended in between, and DECR began one without an end.
            glance().redis.delete(key)
    except redis.RedisError:
        return


def _key(what: str, who: str) -> str:
    return f"iot:throttle:{what}:{hashlib.sha256(who.encode()).hexdigest()[:32]}"


def address(request: Any) -> str:
    """The client's address, by REMOTE_ADDR alone (config/web.py says whose X-Forwarded-For goes into it).

    Of IPv6 its /64 network, of which one machine has all addresses.
    """
    said = str(request.META.get("REMOTE_ADDR", ""))
    try:
        found = ipaddress.ip_address(said)
    except ValueError:
        return said
    if found.version == 6:
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return said


def _by_address() -> Rate:
    rate = Rate.read(settings.THROTTLE_LOGIN)
    return Rate(rate.most * PEOPLE_AT_AN_ADDRESS, rate.seconds)


def count_wrong(request: Any) -> None:
    """Counts an attempt with a wrong token. Raises TooOftenError."""
    take("token", address(request), _by_address())


class Backend(PermissionsWithUser):
    """Checks a password, throttled by address and user together, and by address. Raises TooOftenError.

    Never by user alone: anybody could lock anybody out. Each attempt is counted before the password is
    checked, so that a hundred concurrent attempts are counted too, and given back if it was right.
    """

    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **more: Any
    ) -> Any:
        if request is None or username is None or password is None:
            return super().authenticate(request, username, password, **more)
        where = address(request)
        both = f"{where} {username.casefold()}"
        take("login", where, _by_address())
        take("login", both, Rate.read(settings.THROTTLE_LOGIN))
        user = super().authenticate(request, username, password, **more)
        if user is not None:
            give_back("login", where)
            give_back("login", both)
        return user


class Answers429:
    """Middleware: the admin's login page too says when to try again."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        from django.http import HttpResponse

        if not isinstance(error, TooOftenError):
            return None
        text = _("Too many attempts: try again in %d s.") % error.wait
        headers = {"Retry-After": str(error.wait)}
        return HttpResponse(text, status=429, headers=headers, content_type="text/plain; charset=utf-8")
