"""What the tests themselves keep to."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("*.py"))
# What reads the clock: datetime.now(), timezone.now(), date.today(), time.time(), monotonic() …
CLOCKS = {"now", "utcnow", "today", "localtime", "gmtime", "time", "time_ns", "monotonic", "perf_counter"}


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when the module is imported: all but the bodies of functions."""
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        run = [*node.decorator_list, *node.args.defaults, *(one for one in node.args.kw_defaults if one)]
    elif isinstance(node, ast.Lambda):
        run = [*node.args.defaults, *(one for one in node.args.kw_defaults if one)]
    else:
        run = list(ast.iter_child_nodes(node))
    for child in run:
        yield from at_import(child)


def clocks_read_at_import(source: str) -> list[int]:
    """The lines."""
    calls = [node for node in at_import(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if ast.unparse(call.func).rpartition(".")[2] in CLOCKS]


@pytest.mark.parametrize(
    "source",
    [
        "NOW = datetime.now(UTC)",
        "OLD = timezone.now() - timedelta(days=1)",
        "class Row:\n    at = time.time()",
        "@pytest.mark.parametrize('at', [date.today()])\ndef test_it(at): ...",
        "def test_it(at=monotonic()): ...",
        "old = lambda at=datetime.utcnow(): at",
    ],
)
def test_a_clock_that_is_read_at_import_is_found(source: str) -> None:
    assert len(clocks_read_at_import(source)) == 1


def test_a_clock_that_is_read_when_it_is_wanted_may_be() -> None:
    assert (
        clocks_read_at_import("def now():\n    return datetime.now(UTC)\nlater = lambda: time.time()") == []
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TESTS)))
def test_no_clock_is_read_at_import(file: Path) -> None:
    """Minutes lie between the import and the test: what was now is old. Ask for the fixtures now and noon."""
    assert clocks_read_at_import(file.read_text()) == []
