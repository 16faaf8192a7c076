"""What Django's own checks should refuse before anything starts."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from monitoring.partitions import MOST

# The shortest period of each width: the one of which a span of time needs most.
DAYS = {"day": 1, "week": 7, "month": 28}
# Beside the periods that retention spans: the one that it ends in, the one that it begins in, and those
# made ahead, which reach a month.
AHEAD_DAYS = 31


@register
def partitions_are_few_enough(**kwargs: Any) -> Sequence[CheckMessage]:
    """Planning time grows with the number of partitions, so their number has a bound."""
    needed = (settings.RETENTION_DAYS + AHEAD_DAYS) // DAYS[settings.PARTITION_WIDTH] + 2
    if needed <= MOST:
        return []
    return [
        Error(
            f"RETENTION_DAYS={settings.RETENTION_DAYS} with PARTITION_WIDTH={settings.PARTITION_WIDTH}"
            f" needs about {needed} partitions of measurements; {MOST} is the most.",
            hint=_remedy(),
            id="monitoring.E001",
        )
    ]


def _remedy() -> str:
    longest = {width: (MOST - 2) * days - AHEAD_DAYS for width, days in DAYS.items()}
    wide_enough = [width for width, days in longest.items() if days >= settings.RETENTION_DAYS]
    if wide_enough:
        most = longest[settings.PARTITION_WIDTH]
        return f"Set PARTITION_WIDTH={wide_enough[0]}, or RETENTION_DAYS to {most} or less."
    return f"Set PARTITION_WIDTH=month and RETENTION_DAYS to {longest['month']} or less."


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
