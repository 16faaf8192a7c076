"""Takes each remedy out, and sees that a test fails then: `make remedies`.

    python -m prove.remedies [words] [--jobs 2]

Each entry of prove/remedies.toml is a trap that cost somebody data, the tests that hold its remedy in place,
and the text that is the remedy. In a copy of the project the tests are run as they are, and again without the
remedy. With words: those entries alone whose trap, tests or files contain all of them. Exit code 1 where a
remedy can be taken out unseen, or where that could not be tried.

What wants Mosquitto is left out where that is not installed.
"""

import argparse
import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

PROJECT = Path(__file__).parent.parent
# Of one test. Without its remedy one may wait for what never comes.
TEST_SECONDS = 60

BITES = "bites"
SURVIVES = "SURVIVES"
UNTRIED = "UNTRIED"
LEFT_OUT = "left out"


class Change(NamedTuple):
    """`take` stands in the file once; with `put` in its place the remedy is gone."""

    file: str
    take: str
    put: str


class Remedy(NamedTuple):
    trap: str
    tests: tuple[str, ...]
    out: tuple[Change, ...]

    def contains(self, words: Sequence[str]) -> bool:
        text = " ".join((self.trap, *self.tests, *(change.file for change in self.out))).lower()
        return all(word.lower() in text for word in words)


class Ran(NamedTuple):
    """How tests ended: pytest's exit code, the names of those that passed, a line for each that did not."""

    code: int
    passed: frozenset[str]
    failed: tuple[str, ...]
    last_line: str

    def said_of(self, test: str) -> list[str]:
        return [line for line in self.failed if _is_of(test, line.partition(" ")[2])]

    def passes(self, test: str) -> bool:
        return any(_is_of(test, name) for name in self.passed)


def _is_of(test: str, line: str) -> bool:
    """Whether a line begins with a test's name, or with that of one of its cases."""
    return line.startswith(test) and line[len(test) : len(test) + 1] in ("", "[", " ")


class Result(NamedTuple):
    remedy: Remedy
    outcome: str
    seconds: float
    said: str


def load(project: Path = PROJECT) -> list[Remedy]:
    """The remedies of prove/remedies.toml, in its order."""
    entries = tomllib.loads((project / "prove/remedies.toml").read_text())["remedy"]
    return [
        Remedy(
            entry["trap"],
            tuple(entry["tests"]),
            tuple(Change(one["file"], one["take"], one["put"]) for one in entry["out"]),
        )
        for entry in entries
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make remedies", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "words", nargs="*", help="only remedies whose trap, tests or files contain all of them"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many at once, each in a copy of its own")
    parser.add_argument("--project", type=Path, default=PROJECT, help="another project's folder")
    options = parser.parse_args()
    remedies = [one for one in load(options.project) if one.contains(options.words)]
    if not remedies:
        parser.error(f"no remedy contains {' and '.join(options.words)}")
    began = time.monotonic()
    results = _try_all(options.project.resolve(), remedies, options.jobs)
    _report(results, time.monotonic() - began)
    return int(any(result.outcome in (SURVIVES, UNTRIED) for result in results))


@contextmanager
def _copy(project: Path) -> Iterator[Path]:
    """The project's files as they are now, but for what git ignores; with the same .venv."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=project,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    with tempfile.TemporaryDirectory(prefix="iot-remedies-") as folder:
        copy = Path(folder)
        for name in filter(None, listed.split("\0")):
            if (project / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(project / name, copy / name)
        if (project / ".venv").exists():
            (copy / ".venv").symlink_to(project / ".venv")
        yield copy


def _try_all(project: Path, remedies: Sequence[Remedy], jobs: int) -> list[Result]:
    """Says of each how it ended; in the order given."""
    copies: SimpleQueue[Path] = SimpleQueue()
    ended = itertools.count(1)

    def try_one(remedy: Remedy) -> Result:
        copy, began = copies.get(), time.monotonic()
        try:
            outcome, said = _try(copy, remedy, as_they_are)
        finally:
            copies.put(copy)
        result = Result(remedy, outcome, time.monotonic() - began, said)
        place = f"{next(ended):>3}/{len(remedies)}"
        # With its end, so that two lines of two threads stay two.
        print(f"{place} {outcome:<8} {result.seconds:5.1f} s  {remedy.trap}\n", end="", flush=True)
        return result

    with ExitStack() as stack, ThreadPoolExecutor(jobs) as threads:
        for _ in range(jobs):
            copies.put(copy := stack.enter_context(_copy(project)))
        tests = {test for remedy in remedies for test in remedy.tests}
        # pytest-xdist loses its way where a case is named beside its test.
        tests -= {test for test in tests if "[" in test and test.partition("[")[0] in tests}
        began = time.monotonic()
        as_they_are = _run(copy, sorted(tests), "-n", str(jobs))
        sums = f"{len(as_they_are.passed)} pass, {len(as_they_are.failed)} do not"
        print(f"their tests as they are: {sums}, in {time.monotonic() - began:.0f} s", flush=True)
        tried = [threads.submit(try_one, remedy) for remedy in remedies]
        try:
            return [one.result() for one in tried]
        finally:
            threads.shutdown(cancel_futures=True)


def _try(copy: Path, remedy: Remedy, before: Ran) -> tuple[str, str]:
    """What came of taking it out, and what a test said to that."""
    if said := [line for test in remedy.tests for line in before.said_of(test)]:
        return UNTRIED, f"its tests do not pass as they are: {said[0]}"
    if not all(before.passes(test) for test in remedy.tests):
        if before.code in (0, 1):
            return LEFT_OUT, "its tests are skipped here"
        return UNTRIED, f"its tests could not be run: {before.last_line}"
    try:
        with _without(copy, remedy):
            after = _run(copy, remedy.tests)
    except ValueError as error:
        return UNTRIED, str(error)
    # By a test, not on the way to one.
    if after.code == 1 and (said := [line for line in after.failed if line.startswith("FAILED ")]):
        return BITES, said[0]
    if after.code == 0:
        return SURVIVES, "its tests pass without it"
    return UNTRIED, f"no test failed, but pytest ended with {after.code}: {after.last_line}"


@contextmanager
def _without(copy: Path, remedy: Remedy) -> Iterator[None]:
    """The copy without the remedy. Raises ValueError where it does not stand there, or more than once."""
    whole: dict[Path, str] = {}
    try:
        for file, take, put in remedy.out:
            path = copy / file
            text = path.read_text()
            if (times := text.count(take)) != 1:
                raise ValueError(f"{file} has {times} times: {take}")
            whole.setdefault(path, text)
            _write(path, text.replace(take, put))
        yield
    finally:
        for path, text in whole.items():
            _write(path, text)


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    # Python takes byte code for fresh by the second and the length of its source.
    if path.suffix == ".py":
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def _run(copy: Path, tests: Sequence[str], *options: str) -> Ran:
    quietly = ("-q", "-rpfE", "--tb=no", "--show-capture=no", f"--timeout={TEST_SECONDS}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *quietly, *options, *tests],
        cwd=copy,
        # Byte code is kept, though the environment may say otherwise: they are run a hundred times.
        env=os.environ | {"COLUMNS": "240", "PYTHONDONTWRITEBYTECODE": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = done.stdout.strip().splitlines() or [""]
    passed = frozenset(line.removeprefix("PASSED ") for line in lines if line.startswith("PASSED "))
    failed = tuple(line for line in lines if line.startswith(("FAILED ", "ERROR ")))
    return Ran(done.returncode, passed, failed, lines[-1])


def _report(results: Sequence[Result], seconds: float) -> None:
    print(f"\n{'':<10}{'seconds':>7}  trap, and what was seen")
    for remedy, outcome, took, said in results:
        print(f"{outcome:<10}{took:>7.1f}  {remedy.trap}\n{'':<19}{said}")
    counts = Counter(result.outcome for result in results)
    sums = ", ".join(f"{counts[outcome]} {outcome}" for outcome in (BITES, SURVIVES, UNTRIED, LEFT_OUT))
    print(f"\n{len(results)} remedies in {seconds:.0f} s: {sums}")


if __name__ == "__main__":
    raise SystemExit(main())
