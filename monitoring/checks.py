"""What Django's own checks should refuse before anything starts."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from monitoring.upkeep.partitions import MOST
from monitoring.upkeep.tables import TABLES, Kept

# The shortest period of each width: the one of which a span of time needs most.
DAYS = {"day": 1, "week": 7, "month": 28, "year": 365}
# Beside the periods that retention spans: the one that it ends in, the one that it begins in, and those
# made ahead, which reach a month.
AHEAD_DAYS = 31
LONGEST = {width: (MOST - 2) * days - AHEAD_DAYS for width, days in DAYS.items()}


@register
def partitions_are_few_enough(**kwargs: Any) -> Sequence[CheckMessage]:
    """Planning time grows with the number of partitions, so their number has a bound, in each table."""
    return [
        Error(
            f"{kept.setting}={kept.days} needs about {needed} partitions of {kept.table.name}, a"
            f" {kept.table.width} each; {MOST} is the most.",
            hint=_remedy(kept),
            id="monitoring.E001",
        )
        for kept in TABLES
        if (needed := (kept.days + AHEAD_DAYS) // DAYS[kept.table.width] + 2) > MOST
    ]


def _remedy(kept: Kept) -> str:
    fewer = f"{kept.setting} to {LONGEST[kept.table.width]} or less"
    if kept.table.fixed_width:
        return f"Set {fewer}."
    for width in ("week", "month"):
        if kept.days <= LONGEST[width]:
            return f"Set PARTITION_WIDTH={width}, or {fewer}."
    return f"Set PARTITION_WIDTH=month and {kept.setting} to {LONGEST['month']} or less."


@register
def coarser_is_kept_longer(**kwargs: Any) -> Sequence[CheckMessage]:
    """A late row changes its hour, which is made from all of its minutes: they must still be there."""
    names = [f"{of}RETENTION_DAYS" for of in ("", "ROLLUP_MINUTE_", "ROLLUP_HOUR_", "ROLLUP_DAY_")]
    days = {name: getattr(settings, name) for name in names}
    return [
        Error(
            f"{coarse}={days[coarse]} is less than {fine}={days[fine]}.",
            hint=f"Set {coarse} to {days[fine]} or more, or {fine} to {days[coarse]} or less.",
            id="monitoring.E002",
        )
        for fine, coarse in pairwise(names)
        if days[coarse] != 0 and days[coarse] < days[fine]
    ]
