"""Each remedy stands where it is said to stand, and one that can be taken out unseen is found."""

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from prove.remedies import Remedy, load

PROJECT = Path(__file__).parents[2]
REMEDIES = load()


def test_each_is_a_trap_of_its_own() -> None:
    traps = [remedy.trap for remedy in REMEDIES]
    assert len(set(traps)) == len(traps)
    assert all(trap.endswith(".") and "\n" not in trap for trap in traps)


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy.trap)
def test_it_stands_once_where_it_is_said_to_stand(remedy: Remedy) -> None:
    assert remedy.out
    for file, take, put in remedy.out:
        assert (PROJECT / file).read_text().count(take) == 1, (file, take)
        assert put != take


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy.trap)
def test_its_tests_exist(remedy: Remedy) -> None:
    assert remedy.tests
    for test in remedy.tests:
        name, _, chosen = test.partition("[")
        file, _, function = name.partition("::")
        found = functions_in(file)
        assert function in found, test
        assert not chosen or found[function], f"{test}: it has no parameters"


@cache
def functions_in(file: str) -> dict[str, bool]:
    """The tests of a file, and whether each has parameters."""
    tree = ast.parse((PROJECT / file).read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {
        one.name: any("parametrize" in ast.unparse(decorator) for decorator in one.decorator_list)
        for one in functions
    }


# --- the command ---------------------------------------------------------------------------------

SOURCE = """\
def half(number):
    if number == 0:
        return 0
    return number / 2
"""
TESTS = """\
import pytest
from halves import half

def test_half():
    assert half(4) == 2

def test_that_is_red():
    assert half(4) == 3

@pytest.mark.skip(reason="wants what is not here")
def test_skipped():
    assert half(4) == 2
"""


def entry(trap: str, test: str, take: str, put: str) -> str:
    return f"""
[[remedy]]
trap = "{trap}"
tests = ["test_halves.py::{test}"]
out = [{{file = "halves.py", take = "{take}", put = "{put}"}}]
"""


ENTRIES = {
    "bites": entry("A half is less.", "test_half", "number / 2", "number"),
    "SURVIVES": entry("Nobody looks at zero.", "test_half", "number == 0", "False"),
    "left out": entry("This cannot be tried here.", "test_skipped", "number / 2", "number"),
    "its tests do not pass as they are": entry("It fails anyway.", "test_that_is_red", "/ 2", ""),
    "halves.py has 2 times: return": entry("It stands twice.", "test_half", "return", ""),
}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    (tmp_path / "prove").mkdir()
    (tmp_path / "halves.py").write_text(SOURCE)
    (tmp_path / "test_halves.py").write_text(TESTS)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def take_out(tiny: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # The tiny project is none of Django's.
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "PYTEST"))
    }
    return subprocess.run(
        [sys.executable, "-m", "prove.remedies", "--project", str(tiny), *words],
        cwd=PROJECT,
        env=inherited,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_it_says_how_each_ended(tiny: Path) -> None:
    (tiny / "prove/remedies.toml").write_text("".join(ENTRIES.values()))
    done = take_out(tiny)
    assert done.returncode == 1, done.stderr
    for said in ENTRIES:
        assert said in done.stdout
    assert "FAILED test_halves.py::test_half - assert 4 == 2" in done.stdout
    assert "5 remedies in" in done.stdout
    assert "1 bites, 1 SURVIVES, 2 UNTRIED, 1 left out" in done.stdout
    assert (tiny / "halves.py").read_text() == SOURCE, "it works on a copy"


def test_words_choose_some(tiny: Path) -> None:
    (tiny / "prove/remedies.toml").write_text("".join(ENTRIES.values()))
    done = take_out(tiny, "HALF", "less")
    assert (done.returncode, "1 remedies in" in done.stdout) == (0, True), done.stdout
    done = take_out(tiny, "less", "zero")
    assert done.returncode == 2
    assert "no remedy contains less and zero" in done.stderr
