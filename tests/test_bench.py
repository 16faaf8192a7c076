"""The benchmarks are not run here, but each can be: what one takes from another is there."""

import importlib
from pathlib import Path

import pytest

from bench.figure import bars

FOLDER = Path(__file__).parents[1] / "bench"
# Wants a package that only `make bench` wants, and only where somebody installed it.
LEFT_OUT = {"peer"}


@pytest.mark.parametrize("name", sorted({file.stem for file in FOLDER.glob("*.py")} - LEFT_OUT))
def test_it_can_be_imported(name: str) -> None:
    importlib.import_module(f"bench.{name}")


def test_a_picture_has_as_many_parts_as_there_are_processes() -> None:
    parts = {f"process {number}": 1.0 for number in range(20)}
    assert bars("CPU", {"ours": parts}).count("<rect") == 2 * len(parts)
