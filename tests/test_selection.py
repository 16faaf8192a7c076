"""Which tests run, and which of them together."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distribution import Distribution, unit
from tests.parts import PARTS, Part, left_out

PROJECT = Path(__file__).parents[1]
FIRMWARE = Part("firmware", ("firmware",))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Of a project whose branch main has some firmware and a test of it."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    for name in ("firmware/sketch.ino", "tests/firmware/test_sketch.py", "bridge/receiver.py"):
        write(tmp_path / name, "first")
    commit(tmp_path)
    git(tmp_path, "checkout", "--quiet", "-b", "branch")
    return tmp_path


def git(project: Path, *command: str) -> None:
    options = ["-c", "user.name=tests", "-c", "user.email=tests@localhost"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run(["git", *options, *command], cwd=project, env=env, check=True, capture_output=True)


def commit(project: Path) -> None:
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "some of it")


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="wants git")


@needs_git
@pytest.mark.parametrize("name", ["firmware/sketch.ino", "tests/firmware/test_sketch.py", "firmware/new.h"])
def test_firmware_that_differs_from_main_is_tested(clone: Path, name: str) -> None:
    assert not FIRMWARE.differs_from_main(clone)
    write(clone / name, "second")
    assert FIRMWARE.differs_from_main(clone)
    commit(clone)
    assert FIRMWARE.differs_from_main(clone)


@needs_git
def test_what_others_changed_does_not_matter(clone: Path) -> None:
    write(clone / "bridge/receiver.py", "second")
    commit(clone)
    git(clone, "checkout", "--quiet", "main")
    write(clone / "firmware/sketch.ino", "newer")
    commit(clone)
    git(clone, "checkout", "--quiet", "branch")
    assert not FIRMWARE.differs_from_main(clone)


@needs_git
def test_without_main_firmware_is_tested(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    git(clone, "branch", "--quiet", "--delete", "--force", "main")
    assert FIRMWARE.differs_from_main(clone)
    assert FIRMWARE.differs_from_main(tmp_path_factory.mktemp("no-repository"))


def test_without_git_firmware_is_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert FIRMWARE.differs_from_main(tmp_path)


@needs_git
def test_a_part_can_be_asked_for(clone: Path) -> None:
    assert not FIRMWARE.is_wanted(clone, {})
    assert FIRMWARE.is_wanted(clone, {"FIRMWARE_TESTS": "always"})
    with pytest.raises(ValueError, match='FIRMWARE_TESTS is "yes"'):
        FIRMWARE.is_wanted(clone, {"FIRMWARE_TESTS": "yes"})


@needs_git
def test_parts_are_left_out_of_more_and_never_where_they_are_named(clone: Path) -> None:
    tests = clone / "tests"
    assert left_out(clone, [tests], {}) == list(PARTS)
    assert left_out(clone, [tests / "firmware", tests / "runner" / "test_run.py"], {}) == []
    write(clone / "monitoring" / "static" / "page.js", "new")
    assert [part.name for part in left_out(clone, [clone], {"RUNNER_TESTS": "always"})] == ["firmware"]


def test_they_are_of_what_is_there_and_ci_runs_them_all() -> None:
    steps = (PROJECT / ".ci" / "run").read_text()
    for part in PARTS:
        assert all((PROJECT / path).exists() for path in (part.folder, *part.of)), part
        assert f"{part.variable}=always" in steps


def collected(*arguments: str, **environment: str) -> str:
    """What pytest says that it would run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments]
    # Whoever runs these tests may have chosen some of them by it.
    env = os.environ | {"PYTEST_ADDOPTS": ""} | environment
    return subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True).stdout


def test_what_is_left_out_is_said_in_one_line() -> None:
    looked_at = {"containers", "firmware"}
    others = [f"--ignore={path}" for path in (PROJECT / "tests").iterdir() if path.name not in looked_at]
    said = collected(*others, TEST_LEFT_OUT="firmware")
    assert "tests/containers/test_compose.py" in said
    assert "tests/firmware/test_diagram.py" not in said
    assert said.count("FIRMWARE_TESTS=always") == 1
    said = collected(*others, TEST_LEFT_OUT="")
    assert "tests/firmware/test_diagram.py" in said
    assert "FIRMWARE_TESTS" not in said


def test_tests_that_share_a_system_go_to_one_process_and_others_one_by_one() -> None:
    collection = [
        "tests/journey/test_journey.py::test_it_works",
        "tests/journey/test_restarts.py::test_it_lives[bridge]",
        "tests/bridge/test_tls.py::test_it_works",
        "tests/bridge/test_batch.py::test_it_works",
        "tests/bridge/test_batch.py::test_it_packs[a::b]",
    ]
    scopes = [Distribution._split_scope(None, nodeid) for nodeid in collection]  # type: ignore[arg-type]
    assert scopes == ["tests/journey", "tests/journey", "tests/bridge/test_tls.py", *collection[3:]]
    files = list((PROJECT / "tests").rglob("test_*.py"))
    assert 3 < sum(unit(str(file.relative_to(PROJECT))) is not None for file in files) < len(files) / 3
