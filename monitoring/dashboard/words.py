"""What the charts' scripts say, in the page's language: they take it from a block of data in the page."""

from django.utils.translation import gettext as _
from django.utils.translation import ngettext


def chart_words() -> dict[str, str]:
    """By what the scripts call them. `{x}` is filled in by the script; `…One` stands for exactly 1."""
    return {
        "raw": _("Each point is a reading."),
        "step": _("1 point = {step}: the line is the average, the band goes from the lowest to the highest."),
        "average": _("Average"),
        "from_to": _("{min} to {max}"),
        "readingsOne": ngettext("{n} reading", "{n} readings", 1),
        "readings": ngettext("{n} reading", "{n} readings", 2),
        "nothing": _("nothing measured for {long}"),
        "before": _("before"),
        "hint": _("Drag to zoom in; arrow keys read values."),
        "hintTouch": _("Tap to read a value."),
        "pace": _("one every {interval}"),
        "longestGap": _("longest gap: {long}"),
        "empty": _("Nothing was measured in this span."),
        "never": _("This sensor has not sent anything yet."),
        "last": _("The last point is of {at}."),
        "jump": _("Go there"),
        "failed": _("The values could not be fetched."),
        "retry": _("Try again"),
        "live": _("Live"),
        "asking": _("Live, asking every 5 seconds"),
        "stale": _("No connection since {at}"),
        "paused": _("Paused"),
        "pausedNew": _("Paused, {n} new"),
        "goLive": _("Live"),
        "time": _("Time"),
        "lowest": _("Lowest"),
        "highest": _("Highest"),
        "count": _("Readings"),
        "value": _("Value"),
        "alertHere": _("Alert me at {value}:"),
        "since": _("{title}, since {at}"),
        "firing": _("{title}, firing now"),
        "incidentsOne": ngettext("{n} incident in this span", "{n} incidents in this span", 1),
        "incidents": ngettext("{n} incident in this span", "{n} incidents in this span", 2),
        "badSpan": _("“From” must lie before “to”."),
    }
