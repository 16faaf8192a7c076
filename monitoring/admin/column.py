"""What unfold's `display` does for a column, with types."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

# The admin's modules take it from here.
from monitoring.numbers import grouped as grouped


def column(
    description: Any, label: Mapping[str, str] | None = None, order: str = ""
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`label` makes a badge: how each first part of what the method returns looks (success, warning, ...).
    `order` names the field that the column sorts by."""

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        method.short_description = description  # type: ignore[attr-defined]
        if label is not None:
            method.label = label  # type: ignore[attr-defined]
        if order:
            method.admin_order_field = order  # type: ignore[attr-defined]
        return method

    return decorate


def unbroken(text: str) -> SafeString:
    return format_html('<span class="whitespace-nowrap">{}</span>', text)


def fixed_width(text: str, tip: str = "") -> SafeString:
    return format_html(
        '<span class="whitespace-nowrap" style="font-family: monospace" title="{}">{}</span>', tip, text
    )
