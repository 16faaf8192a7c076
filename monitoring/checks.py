"""What Django's own checks should refuse before anything starts."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from monitoring.upkeep.partitions import MOST
from monitoring.upkeep.tables import TABLES, Kept

# The shortest period of each width: the one of which a span of time needs most.
DAYS = {"day": 1, "week": 7, "month": 28, "year": 365}
# Beside the periods that retention spans: the one that it ends in, the one that it begins in, and those
# made ahead, which reach a month.
AHEAD_DAYS = 31
_OF = {
    "day": _("%(setting)s needs about %(needed)d partitions of %(table)s, a day each; %(most)d is the most."),
    "week": _(
        "%(setting)s needs about %(needed)d partitions of %(table)s, a week each; %(most)d is the most."
    ),
    "month": _(
        "%(setting)s needs about %(needed)d partitions of %(table)s, a month each; %(most)d is the most."
    ),
    "year": _(
        "%(setting)s needs about %(needed)d partitions of %(table)s, a year each; %(most)d is the most."
    ),
}
LONGEST = {width: (MOST - 2) * days - AHEAD_DAYS for width, days in DAYS.items()}


@register
def partitions_are_few_enough(**kwargs: Any) -> Sequence[CheckMessage]:
    """Planning time grows with the number of partitions, so their number has a bound, in each table."""
    return [
        Error(
            _OF[kept.table.width]
            % {
                "setting": f"{kept.setting}={kept.days}",
                "needed": needed,
                "table": kept.table.name,
                "most": MOST,
            },
            hint=_remedy(kept),
            id="monitoring.E001",
        )
        for kept in TABLES
        if (needed := (kept.days + AHEAD_DAYS) // DAYS[kept.table.width] + 2) > MOST
    ]


def _remedy(kept: Kept) -> str:
    said: dict[str, Any] = {"setting": kept.setting, "most": LONGEST[kept.table.width]}
    if kept.table.fixed_width:
        return gettext("Set %(setting)s to %(most)d or less.") % said
    for width in ("week", "month"):
        if kept.days <= LONGEST[width]:
            said["width"] = width
            return gettext("Set PARTITION_WIDTH=%(width)s, or %(setting)s to %(most)d or less.") % said
    said["most"] = LONGEST["month"]
    return gettext("Set PARTITION_WIDTH=month and %(setting)s to %(most)d or less.") % said


@register
def coarser_is_kept_longer(**kwargs: Any) -> Sequence[CheckMessage]:
    """A late row changes its hour, which is made from all of its minutes: they must still be there."""
    names = [f"{of}RETENTION_DAYS" for of in ("", "ROLLUP_MINUTE_", "ROLLUP_HOUR_", "ROLLUP_DAY_")]
    days = {name: getattr(settings, name) for name in names}
    return [
        Error(
            gettext("%(coarse)s is less than %(fine)s.")
            % {"coarse": f"{coarse}={days[coarse]}", "fine": f"{fine}={days[fine]}"},
            hint=gettext("Set %(coarse)s to %(more)d or more, or %(fine)s to %(less)d or less.")
            % {"coarse": coarse, "more": days[fine], "fine": fine, "less": days[coarse]},
            id="monitoring.E002",
        )
        for fine, coarse in pairwise(names)
        if days[coarse] != 0 and days[coarse] < days[fine]
    ]
