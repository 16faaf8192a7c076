"""What templates of the pages write: numbers, ages and states."""

from datetime import UTC, datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import get_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

register = template.Library()

_DIGITS = 6
# From here on a number is written with its power of ten; before, a whole part has all of its digits.
_HUGE = 1e9


@register.filter
def figure(value: float | int | None) -> str:
    """A number as the language writes it, to six digits; whole numbers with all of theirs. figure.js does it
    in the browser."""
    if value is None:
        return ""
    if isinstance(value, int):
        return _grouped(str(value))
    text = f"{value:.0f}" if 10 ** (_DIGITS - 1) <= abs(value) < _HUGE else f"{value:.{_DIGITS}g}"
    if "e" in text or text in ("inf", "-inf", "nan"):
        return text.replace(".", str(get_format("DECIMAL_SEPARATOR")))
    whole, point, rest = text.partition(".")
    return _grouped(whole) + (str(get_format("DECIMAL_SEPARATOR")) + rest if point else "")


def _grouped(whole: str) -> str:
    # Five digits and more: "1 234" and "1234" are both read, and years and ids have four.
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    if len(digits) < 5:
        return sign + digits
    separator = str(get_format("THOUSAND_SEPARATOR")).replace("\xa0", "\u202f")  # as browsers have it
    first = len(digits) % 3 or 3
    parts = [digits[:first], *(digits[i : i + 3] for i in range(first, len(digits), 3))]
    return sign + separator.join(parts)


@register.filter
def age(moment: datetime | None) -> SafeString | str:
    """How long ago, which page.js keeps up; with the time itself for who points at it."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    return format_html(
        '<time data-age datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}",
        ago((timezone.now() - moment).total_seconds()),
    )


def ago(seconds: float) -> str:
    seconds = max(0, int(seconds))
    for text, length in ((_("%d d ago"), 86_400), (_("%d h ago"), 3_600), (_("%d min ago"), 60)):
        if seconds >= length:
            return text % (seconds // length)
    return _("%d s ago") % seconds


@register.filter
def of(counts: dict[str, int], name: str) -> int:
    return counts.get(name, 0)


@register.filter
def rate(value: float) -> str:
    """How often in a second: 0.25, 3.4, 360."""
    return figure(round(value, 2 if value < 1 else 1)) if value < 10 else figure(round(value))


@register.filter
def seconds(value: float) -> str:
    """A length of time for people: 240 ms, 3.2 s, 12 min."""
    if value < 1:
        return _("%s ms") % figure(round(value * 1000))
    if value < 120:
        return _("%s s") % figure(round(value, 1) if value < 10 else round(value))
    return _("%s min") % figure(round(value / 60))


@register.filter
def around(moment: datetime, hours: int) -> str:
    """So many hours later, as an address says a moment."""
    return f"{(moment + timedelta(hours=hours)).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
