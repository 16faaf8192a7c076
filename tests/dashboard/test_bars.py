"""Bars as SVG paths: each as high as what it stands for, one upon the other."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.dashboard.bars import HEIGHT, draw

BAR = re.compile(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-[\d.]+z")


def bars(path: str) -> dict[int, tuple[float, float]]:
    """Where each bar begins and ends, from below."""
    found = {}
    for x, y, width, height in ((float(part) for part in bar) for bar in BAR.findall(path)):
        assert 0 < width < 1
        found[int(x)] = (HEIGHT - y - height, HEIGHT - y)
    assert BAR.sub("", path) == ""
    return found


def test_it_works() -> None:
    drawn = draw([[50, 0, 20], [50, 0, 0]], line=[100, 100, 20])
    assert (drawn.width, drawn.top, drawn.middle) == (3, 100, 50)
    assert bars(drawn.paths[0]) == {0: (0, 50), 2: (0, 20)}
    assert bars(drawn.paths[1]) == {0: (50, 100)}
    assert drawn.line == "M0 0H2V80H3"


def test_one_of_ten_thousand_is_seen() -> None:
    (begin, end) = bars(draw([[9999], [1]]).paths[1])[0]
    assert end - begin > 0.5


@pytest.mark.parametrize(
    ("most", "top"),
    [(0, 1), (1, 1), (2, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 20), (199, 200), (201, 400), (999, 1000)],
)
def test_the_scale_ends_at_a_round_number(most: int, top: int) -> None:
    assert draw([[most]]).top == top


def test_nothing_is_no_line() -> None:
    drawn = draw([[0, 0]], [0, 0])
    assert (drawn.paths, drawn.line, drawn.middle) == ([""], "", None)


@given(
    st.lists(st.tuples(*[st.integers(0, 10**9)] * 3), min_size=1, max_size=30),
)
def test_bars_stand_upon_one_another_within_the_picture(steps: list[tuple[int, ...]]) -> None:
    series = [list(values) for values in zip(*steps, strict=True)]
    drawn = draw(series)
    found = [bars(path) for path in drawn.paths]
    for place, step in enumerate(steps):
        ends = 0.0
        for value, of_series in zip(step, found, strict=True):
            assert (place in of_series) == (value > 0)
            if value:
                begin, end = of_series[place]
                assert end - begin >= value / drawn.top * HEIGHT - 0.02
                assert begin == pytest.approx(ends, abs=3)
                ends = end
        assert ends <= HEIGHT
        assert sum(step) <= drawn.top
