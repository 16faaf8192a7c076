"""How long ago something was, in words; moments as pages write them."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.functional import keep_lazy_text
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise


def in_words(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    if seconds < 0:
        return _("in %(seconds)d s") % {"seconds": -seconds}
    for size, text in (
        (2 * 86400, _("%d d ago")),
        (2 * 3600, _("%d h ago")),
        (120, _("%d min ago")),
    ):
        if seconds >= size:
            return text % (seconds // {2 * 86400: 86400, 2 * 3600: 3600, 120: 60}[size])
    return _("%d s ago") % seconds


def seen(moment: datetime | None) -> str:
    return _("never") if moment is None else since(moment)


def exact(moment: datetime) -> str:
    """To the millisecond: at rates where the second alone would show rows as if they were one."""
    return timezone.localtime(moment).replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")


def to_the_minute(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"


def zone() -> str:
    """The name of the zone that times are shown in."""
    return timezone.get_current_timezone_name()


@keep_lazy_text
def in_zone(title: "str | StrPromise") -> str:
    """The title of a column of times, with their zone."""
    return f"{title} ({zone()})"


def since(moment: datetime) -> str:
    """How long ago, in words."""
    return in_words(timezone.now() - moment)
