"""What stands before everything else must say what is wrong, on any Python."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runner.running import ROOT

SOURCE = ROOT / "runner" / "bootstrap.py"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose lock is empty, so that nothing is fetched."""
    (tmp_path / "runner").mkdir()
    shutil.copy(SOURCE, tmp_path / "runner" / "bootstrap.py")
    (tmp_path / "requirements").mkdir()
    for lock in ("run", "dev"):
        (tmp_path / "requirements" / f"{lock}.txt").write_text("# nothing\n")
    return tmp_path


def bootstrap(clone: Path, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `bootstrap.py dev`, with the statements `before` ahead of it."""
    code = (
        f"import runpy, sys; sys.argv = ['bootstrap.py', 'dev']; {before}\nrunpy.run_path({str(clone)!r} + "
    )
    code += "'/runner/bootstrap.py', run_name='__main__')"
    command = [sys.executable, "-I", "-c", code]
    env = {"PATH": "/usr/bin:/bin"} | environment
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)


def test_it_works_once_and_is_quick_then(clone):
    first = bootstrap(clone, HOME=str(clone / "no-such-home"))
    assert first.returncode == 0, first.stderr
    assert ".venv is ready" in first.stdout
    assert (clone / ".venv" / "bin" / "python").exists()
    second = bootstrap(clone)
    assert (second.returncode, second.stdout) == (0, "")

    # Interrupted, it leaves no stamp, whatever else it leaves.
    (clone / ".venv" / "complete.json").unlink()
    (clone / ".venv" / "bin" / "python").unlink()
    third = bootstrap(clone)
    assert third.returncode == 0, third.stderr
    assert "making .venv" in third.stdout


def test_an_old_python_can_read_it_and_is_told():
    ast.parse(SOURCE.read_text(), feature_version=(3, 6))
    done = bootstrap(ROOT, before="sys.version_info = (3, 9, 2)")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Python 3.11 is needed" in done.stderr
    assert "is 3.9" in done.stderr
    assert "PYTHON=" in done.stderr


def test_a_failing_installation_is_one_line_after_pips_own(clone):
    (clone / "requirements" / "dev.txt").write_text("./no-such-file.whl --hash=sha256:" + "0" * 64 + "\n")
    done = bootstrap(clone)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("✗ ")
    assert "Traceback" not in done.stderr
    assert not (clone / ".venv" / "complete.json").exists()
