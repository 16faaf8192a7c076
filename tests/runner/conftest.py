"""A project without Django, run by the real runner with the real services."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clusters import copy_new
from tests.runner.running import Run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(Path(__file__).with_name("project"), tmp_path / "project"))


@pytest.fixture
def start(project: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(fresh: bool = False, **options: object) -> Run:
        """`fresh`: in an empty data folder; else PostgreSQL's cluster is there already."""
        # `make run` takes its servers from wheels, whatever the tests use; a cluster of Debian's is older.
        from_wheels = os.environ.get("SERVICES_FROM") != "system"
        if from_wheels and not fresh and not (project / ".data").exists():
            (project / ".data").mkdir(mode=0o700)
            copy_new(project / ".data" / "postgres")
        runs.append(Run(project, **options))  # type: ignore[arg-type]
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.process.terminate()
            run.process.wait(30)
        for pid in run.left():
            os.kill(pid, signal.SIGKILL)
