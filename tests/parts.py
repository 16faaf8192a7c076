"""Parts of the tests that take long, and whether they have anything new to say: `.ci/run` runs them all."""

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple


class Part(NamedTuple):
    """The tests of a folder of tests/, and what they are of."""

    name: str
    of: tuple[str, ...]

    @property
    def folder(self) -> str:
        return f"tests/{self.name}"

    @property
    def variable(self) -> str:
        """What asks for them, changed or not: FIRMWARE_TESTS=always."""
        return f"{self.name.upper()}_TESTS"

    @property
    def left_out(self) -> str:
        return f"{self.folder} was left out, since nothing of it differs from main: {self.variable}=always"

    def differs_from_main(self, project: Path) -> bool:
        """Since the two went apart, committed or not; also where there is no git or no main to ask."""
        folders = (self.folder, *self.of)

        def git(*command: str) -> "subprocess.CompletedProcess[str]":
            # Whoever runs this in a hook of git's has its variables set, which name another folder.
            env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
            return subprocess.run(
                ["git", "-C", str(project), *command], env=env, capture_output=True, text=True
            )

        try:
            base = git("merge-base", "HEAD", "main")
            changed = git("diff", "--quiet", base.stdout.strip(), "--", *folders)
            new = git("ls-files", "--others", "--exclude-standard", "--", *folders)
        except FileNotFoundError:
            return True
        return any((base.returncode, changed.returncode, new.returncode, new.stdout))

    def is_wanted(self, project: Path, environment: Mapping[str, str]) -> bool:
        """Asked for, or different. Raises ValueError where the variable has any other value."""
        asked = environment.get(self.variable, "")
        if asked not in ("", "always"):
            raise ValueError(f'{self.variable} is "{asked}"; it can be "always", or not set')
        return asked == "always" or self.differs_from_main(project)


PARTS = (
    Part("firmware", ("firmware",)),
    # A whole system behind a real browser.
    Part(
        "browser",
        (
            *("monitoring/dashboard", "monitoring/admin", "monitoring/templates", "monitoring/static"),
            *("monitoring/templatetags", "monitoring/live", "monitoring/locale", "package-lock.json"),
        ),
    ),
    # Environments that are made, and `make run` again and again.
    Part("runner", ("runner", "process", "config", "requirements", "Makefile", "Procfile")),
)


def left_out(project: Path, collected: Iterable[Path], environment: Mapping[str, str]) -> list[Part]:
    """Those without anything new, as parts of more: who names one, or something else, gets just that."""
    roots = list(collected)
    return [
        part
        for part in PARTS
        if any((project / part.folder).parent.is_relative_to(root) for root in roots)
        and not part.is_wanted(project, environment)
    ]
