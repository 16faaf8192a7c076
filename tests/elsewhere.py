"""Work of ours in a process of its own, which a failpoint may kill."""

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import NamedTuple

from django.db import connections

from process import failpoints


class Ended(NamedTuple):
    """`code`: 0; 1 where the work raised; less the number of the signal that killed it. `said`: what the work
    returned, or the traceback, or what it exited with."""

    code: int
    said: str


def elsewhere(work: Callable[[], object], armed: str = "") -> Ended:
    """A copy of this process does it, with failpoints `armed` as FAILPOINTS has them.

    A fresh one would import for a second all that is here already. Whatever the test has changed of settings
    and modules holds in the copy too.
    """
    reads, writes = os.pipe()
    with warnings.catch_warnings():
        # Python warns where threads run, whose locks a copy might find locked: those of tests' servers, here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        os.close(reads)
        _work(work, armed, writes)
    os.close(writes)
    with open(reads) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), said)


def _work(work: Callable[[], object], armed: str, writes: int) -> None:
    code, said = 0, ""
    try:
        for connection in connections.all(initialized_only=True):
            connection.connection = None  # it is the parent's, who goes on with it
        _arm(armed)
        said = str(work())
        connections.close_all()
    except SystemExit as error:
        code, said = 1, str(error)
    except BaseException:
        code, said = 1, traceback.format_exc()
    finally:
        os.write(writes, said.encode())
        os._exit(code)


def _arm(spec: str) -> None:
    """Wherever a failpoint stands: each module has the function by its name."""
    failpoint, none = failpoints.arm(spec), failpoints.failpoint
    for module in list(sys.modules.values()):
        if getattr(module, "failpoint", None) is none:
            module.failpoint = failpoint  # type: ignore[attr-defined]
            if hasattr(module, "is_armed"):
                module.is_armed = bool(spec)
