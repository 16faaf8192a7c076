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
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
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
    """How tests ended: pytest's exit code, how many ended how, and what the first that failed said."""

    code: int
    counts: Counter[str]
    said: str

    @property
    def passed(self) -> bool:
        return self.code == 0 and self.counts["passed"] > 0

    @property
    def failed(self) -> bool:
        """By a test, not on the way to one."""
        return self.code == 1 and self.counts["failed"] > 0


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
    """Says of each how it ended; in the order given. Those that share tests are tried one after the other."""
    shared: dict[tuple[str, ...], list[Remedy]] = defaultdict(list)
    for remedy in remedies:
        shared[remedy.tests].append(remedy)
    results: dict[Remedy, Result] = {}

    def try_those_of(copies: "SimpleQueue[Path]", tests: tuple[str, ...]) -> None:
        copy = copies.get()
        try:
            began = time.monotonic()
            before = _run(copy, tests)
            for remedy in shared[tests]:
                outcome, said = _try(copy, remedy, before)
                result = results[remedy] = Result(remedy, outcome, time.monotonic() - began, said)
                place = f"{len(results):>3}/{len(remedies)}"
                print(f"{place} {outcome:<8} {result.seconds:5.1f} s  {remedy.trap}", flush=True)
                began = time.monotonic()
        finally:
            copies.put(copy)

    with ExitStack() as stack, ThreadPoolExecutor(jobs) as threads:
        copies: SimpleQueue[Path] = SimpleQueue()
        for _ in range(jobs):
            copies.put(stack.enter_context(_copy(project)))
        tried = [threads.submit(try_those_of, copies, tests) for tests in shared]
        try:
            for one in tried:
                one.result()
        finally:
            threads.shutdown(cancel_futures=True)
    return [results[remedy] for remedy in remedies]


def _try(copy: Path, remedy: Remedy, before: Ran) -> tuple[str, str]:
    """What came of taking it out, and what a test said to that."""
    if before.code == 0 and not before.counts["passed"]:
        return LEFT_OUT, "its tests are skipped here"
    if not before.passed:
        return UNTRIED, f"its tests do not pass as they are: {before.said or before.code}"
    try:
        with _without(copy, remedy):
            after = _run(copy, remedy.tests)
    except ValueError as error:
        return UNTRIED, str(error)
    if after.failed:
        return BITES, after.said
    if after.code == 0:
        return SURVIVES, "its tests pass without it"
    return UNTRIED, f"no test failed, but pytest ended with {after.code}: {after.said}"


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


def _run(copy: Path, tests: Sequence[str]) -> Ran:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=no", f"--timeout={TEST_SECONDS}", *tests],
        cwd=copy,
        env=os.environ | {"COLUMNS": "240"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = done.stdout.strip().splitlines()
    # The last line, unless something of the tests still spoke after it.
    sums = next((line for line in reversed(lines) if re.search(r" in \d+\.\d+s", line)), "")
    counts = Counter({word: int(count) for count, word in re.findall(r"(\d+) (\w+)", sums)})
    said = [line for line in lines if line.startswith(("FAILED ", "ERROR "))] or lines[-1:] or [""]
    return Ran(done.returncode, counts, said[0])


def _report(results: Sequence[Result], seconds: float) -> None:
    print(f"\n{'':<10}{'seconds':>7}  trap, and what was seen")
    for remedy, outcome, took, said in results:
        print(f"{outcome:<10}{took:>7.1f}  {remedy.trap}\n{'':<19}{said}")
    counts = Counter(result.outcome for result in results)
    sums = ", ".join(f"{counts[outcome]} {outcome}" for outcome in (BITES, SURVIVES, UNTRIED, LEFT_OUT))
    print(f"\n{len(results)} remedies in {seconds:.0f} s: {sums}")


if __name__ == "__main__":
    raise SystemExit(main())
