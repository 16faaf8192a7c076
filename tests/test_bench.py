"""The benchmarks are not run here, but each can be: what one takes from another is there."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "bench"
# Wants a package that only `make bench` wants, and only where somebody installed it.
LEFT_OUT = {"peer"}


@pytest.mark.parametrize("name", sorted({file.stem for file in FOLDER.glob("*.py")} - LEFT_OUT))
def test_it_can_be_imported(name: str) -> None:
    importlib.import_module(f"bench.{name}")
