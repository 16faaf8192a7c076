"""A bridge as a copy of a process that has imported it: half a second of CPU less than a fresh one.

What is here runs in that process too, which knows where the project is and not which folders of tests pytest
has put on the path: import no other tests.
"""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

from bridge.__main__ import main

PROJECT = Path(__file__).parents[1]

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])


class Forked:
    """What `python -m bridge` does, in such a copy. As `subprocess.Popen`, so far as it is used."""

    def __init__(self, log: Path, environment: dict[str, str]) -> None:
        self._process = _forks.Process(target=_run, args=(log, environment))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("bridge", seconds or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


def _run(log: Path, environment: dict[str, str]) -> None:
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(written, stream.fileno())
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(PROJECT)
    sys.exit(main())
