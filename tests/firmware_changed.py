"""Whether the firmware's tests, a fifth of all, have anything new to say."""

import os
import subprocess
from pathlib import Path

FOLDERS = ("firmware", "tests/firmware")
LEFT_OUT = (
    "the firmware's tests were left out: neither firmware/ nor tests/firmware/ differs from main"
    " (FIRMWARE_TESTS=always make test runs them)"
)


def differs_from_main(project: Path) -> bool:
    """Since the two went apart, committed or not; also where there is no git or no main to ask."""

    def git(*command: str) -> subprocess.CompletedProcess[str]:
        # Whoever runs this in a hook of git's has its variables set, which name another folder.
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        return subprocess.run(["git", "-C", str(project), *command], env=env, capture_output=True, text=True)

    try:
        base = git("merge-base", "HEAD", "main")
        changed = git("diff", "--quiet", base.stdout.strip(), "--", *FOLDERS)
        new = git("ls-files", "--others", "--exclude-standard", "--", *FOLDERS)
    except FileNotFoundError:
        return True
    return any((base.returncode, changed.returncode, new.returncode, new.stdout))


def are_wanted(project: Path) -> bool:
    """FIRMWARE_TESTS=always, or a difference. Raises ValueError for any other value."""
    asked = os.environ.get("FIRMWARE_TESTS", "")
    if asked not in ("", "always"):
        raise ValueError(f'FIRMWARE_TESTS is "{asked}"; it can be "always", or not set')
    return asked == "always" or differs_from_main(project)
