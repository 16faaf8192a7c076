"""A sparkline as SVG paths, drawn by the server: a line of averages, with the band that the values lay in."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from monitoring.rollups.sparklines import HOURS, Hour

WIDTH, HEIGHT, MARGIN = 120, 28, 2


class Sparkline(NamedTuple):
    """Values of `d`, in a box of `width` × `height`. `dots`: hours alone, which no line would show."""

    width: int
    height: int
    line: str
    band: str
    dots: list[tuple[str, str]]


def draw(hours: Sequence[Hour], width: int = WIDTH, height: int = HEIGHT) -> Sparkline | None:
    """None where there is nothing to draw. Hours without measurements are gaps."""
    hours = [hour for hour in hours if hour.avg is not None]
    if not hours:
        return None
    low, high = min(hour.min for hour in hours), max(hour.max for hour in hours)
    # By halves: the difference of two floats may be beyond what a float holds.
    half = high / 2 - low / 2

    across = _across(width)

    def x(hour: Hour) -> str:
        return across[hour.place]

    def y(value: float) -> str:
        share = (value / 2 - low / 2) / half if half else 0.5
        return _short(height - MARGIN - share * (height - 2 * MARGIN))

    line, band, dots = [], [], []
    for run in _runs(hours):
        middle = [f"{x(hour)} {y(hour.avg or 0.0)}" for hour in run]
        if len(run) == 1:
            dots.append((x(run[0]), y(run[0].avg or 0.0)))
            continue
        line.append("M" + "L".join(middle))
        upper = [f"{x(hour)} {y(hour.max)}" for hour in run]
        lower = [f"{x(hour)} {y(hour.min)}" for hour in reversed(run)]
        band.append("M" + "L".join([*upper, *lower]) + "Z")
    return Sparkline(width, height, "".join(line), "".join(band), dots)


def _runs(hours: Sequence[Hour]) -> list[list[Hour]]:
    """Hours that follow one upon the other."""
    runs = [[hours[0]]]
    for before, hour in pairwise(hours):
        if hour.place == before.place + 1:
            runs[-1].append(hour)
        else:
            runs.append([hour])
    return runs


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


@lru_cache(maxsize=8)
def _across(width: int) -> list[str]:
    """Where each hour lies: the same in each of a list's drawings."""
    return [_short(MARGIN + place / HOURS * (width - 2 * MARGIN)) for place in range(HOURS + 1)]
