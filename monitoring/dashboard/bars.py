"""Bars that stand upon one another, and a line over them, as SVG paths drawn by the server.

A bar is one unit wide and the whole 100 high; on the screen the picture is stretched to its place.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

HEIGHT = 100
_GAP = 0.16
# So high at least is whatever is not nought: one message of ten thousand is to be seen.
_LEAST = 0.9


class Bars(NamedTuple):
    """Values of `d`, in a box of `width` × HEIGHT: one path a series, the lowest first. `top` ends the scale;
    `middle` of it is None where that is no whole number."""

    width: int
    top: int
    paths: list[str]
    line: str

    @property
    def middle(self) -> int | None:
        return None if self.top % 2 else self.top // 2


def draw(series: Sequence[Sequence[int]], line: Sequence[int] = ()) -> Bars:
    """The bars of several series of one length, stacked in their order; the line has steps as wide."""
    sums = [sum(values) for values in zip(*series, strict=True)]
    top = _round_up(max([*sums, *line], default=0))
    heights = [0.0] * len(sums)
    paths = []
    for values in series:
        path = []
        for place, value in enumerate(values):
            if not value:
                continue
            height = max(value / top * HEIGHT, _LEAST)
            heights[place] += height
            x, y = _short(place + _GAP / 2), _short(max(0.0, HEIGHT - heights[place]))
            path.append(f"M{x} {y}h{_short(1 - _GAP)}v{_short(height)}h-{_short(1 - _GAP)}z")
        paths.append("".join(path))
    return Bars(len(sums), top, paths, _steps(line, top))


def _steps(values: Sequence[int], top: int) -> str:
    """A line that goes up and down between its steps; as few of its points as say all of it."""
    if not any(values):
        return ""
    heights = [_short(HEIGHT - value / top * HEIGHT) for value in values]
    path = [f"M0 {heights[0]}"]
    for place, (before, height) in enumerate(pairwise(heights), 1):
        if height != before:
            path.append(f"H{place}V{height}")
    return "".join([*path, f"H{len(values)}"])


def _round_up(most: int) -> int:
    """1, 2, 4, 6, 8, 10, 20, 40 ...: the first that is not less."""
    if most <= 1:
        return 1
    power: int = 10 ** int(math.log10(most))
    return next(one * power for one in (1, 2, 4, 6, 8, 10, 20) if one * power >= most)


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
