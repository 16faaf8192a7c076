"""A line for each of a few, and one for all of many."""

import pytest

from process.report import Report, readable


def test_few_lines_are_said_and_the_rest_counted() -> None:
    said: list[str] = []

    class Log:
        info = staticmethod(said.append)

    now = [0.0]
    report = Report(Log(), lambda counts, seconds: f"{counts} in {seconds}", 1, clock=lambda: now[0])  # type: ignore[arg-type]
    for number in range(25):
        report.tell([lambda number=number: f"line {number}"], [1])
    assert said == [f"line {number}" for number in range(10)]
    now[0] = 1.0
    report.tick()
    assert said[10:] == ["[15] in 1.0"]


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", "é\u202e".encode(), b"\n" * 300])
def test_readable_is_one_printable_line(payload: bytes) -> None:
    assert readable(payload).isprintable()
