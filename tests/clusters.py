"""Clusters of PostgreSQL that are made once in a test run, and copied where a test has a server of its own.

`initdb` takes two seconds of CPU and our migrations four, a copy a tenth of one; dozens of tests want one.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from runner.services import Postgres

PROJECT = Path(__file__).parents[1]


def copy_new(folder: Path) -> None:
    """Into `folder`, which is not there yet: what a Postgres that was started there once has left."""
    _copy("new", lambda made: Postgres(made, durable=False).start().stop(), folder)


def copy_migrated(folder: Path) -> None:
    """The same, with the tables of the project."""
    _copy("migrated", _migrate, folder)


def _migrate(made: Path) -> None:
    copy_new(made)
    with Postgres(made, durable=False) as postgres:
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v0"],
            cwd=PROJECT,
            # Migrations want settings, and neither Redis nor a secret.
            env={"REDIS_URL": "redis://127.0.0.1", "SECRET_KEY": "for the tables alone"}
            | os.environ
            | {"DATABASE_URL": postgres.url, "ENV_FILES": "0"},
            check=True,
        )


def _copy(name: str, make: Callable[[Path], object], folder: Path) -> None:
    if "TEST_CLUSTERS" not in os.environ:
        # Outside a test run (bench/), where nobody wants a second one.
        make(folder)
        return
    templates = Path(os.environ["TEST_CLUSTERS"])
    made = templates / name
    # pytest-xdist's workers share them: the first that wants one makes it, the others wait.
    with open(templates / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (templates / f"{name}.made").exists():
            make(made)
            (templates / f"{name}.made").touch()
    # Not its port: all copies would remember one, and the next of them take it from one that is being
    # started again.
    shutil.copytree(made, folder, symlinks=True, ignore=shutil.ignore_patterns("port"))
