"""The rooms of the house know each other in one direction alone (pyproject.toml names the contracts)."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def test_no_import_goes_upwards() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], cwd=PROJECT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_the_bridge_runs_without_django() -> None:
    """Nor does a package that it imports need it, although one may look whether it is there."""
    code = "import sys; sys.modules['django'] = None; import bridge.receiver; print('imported')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "imported", done.stderr
