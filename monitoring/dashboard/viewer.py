"""What a viewer has chosen, kept in cookies of their browser: time zone and theme. The language is Django's.

The zone's cookie holds an IANA name. `auto:Europe/Paris` is what the browser said of itself, at its first
page (static/monitoring/dashboard/zone.js); without the prefix a person has chosen it.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

ZONE_COOKIE = "zone"
AUTO = "auto:"
THEME_COOKIE = "theme"
THEMES = ("auto", "light", "dark")
A_YEAR = 365 * 24 * 3600


class Viewer(NamedTuple):
    """`zone`: an IANA name. `zone_chosen`: by a person rather than by the browser."""

    zone: str
    zone_chosen: bool
    theme: str

    @classmethod
    def of(cls, request: HttpRequest) -> "Viewer":
        """As the cookies say, as far as they can be read."""
        said = request.COOKIES.get(ZONE_COOKIE, "")
        name = said.removeprefix(AUTO)
        known = is_zone(name)
        theme = request.COOKIES.get(THEME_COOKIE, "")
        return cls(
            zone=name if known else settings.TIME_ZONE,
            zone_chosen=known and not said.startswith(AUTO),
            theme=theme if theme in THEMES else THEMES[0],
        )


def is_zone(name: str) -> bool:
    return name in zones()


@lru_cache(1)
def zones() -> tuple[str, ...]:
    """Those that a person would look for, in the order of the alphabet."""
    return tuple(sorted(name for name in available_timezones() if "/" in name or name == "UTC"))


class InViewersZone:
    """Middleware: pages show times in the viewer's zone. The API says UTC, whoever asks."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith("/api/") or ZONE_COOKIE not in request.COOKIES:
            return self.get_response(request)
        with timezone.override(ZoneInfo(Viewer.of(request).zone)):
            return self.get_response(request)
