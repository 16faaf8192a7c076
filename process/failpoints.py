"""Places where a test can make the process die, or fail, at a chosen step.

    FAILPOINTS="bridge.handed_over=kill@3,ingest.message=kill?poison"

`name=action`, where action is `kill` (SIGKILL to the process itself) or `raise` (FailpointError). `@n` waits
for the nth time the place is passed, `?text` for bytes at hand that contain the text. While FAILPOINTS is not
set, a failpoint is a call of an empty function.
"""

import os
import re
import signal
import sys
from collections.abc import Callable

_SPEC = re.compile(r"(?P<name>[\w.]+)=(?P<action>kill|raise)(?:@(?P<nth>\d+))?(?:\?(?P<text>.+))?")


class FailpointError(RuntimeError):
    """What `raise` raises: an exception that no code expects."""


def _nothing(name: str, at_hand: bytes = b"") -> None:
    """Nothing is armed."""


def arm(spec: str) -> Callable[..., None]:
    """The function that stands at every failpoint. Raises ValueError where the spec is not understood."""
    armed: dict[str, tuple[str, int, bytes]] = {}
    for part in filter(None, (part.strip() for part in spec.split(","))):
        match = _SPEC.fullmatch(part)
        if match is None:
            raise ValueError(f"FAILPOINTS: {part!r} is not name=kill|raise[@n][?text]")
        armed[match["name"]] = (match["action"], int(match["nth"] or 1), (match["text"] or "").encode())
    if not armed:
        return _nothing
    passed: dict[str, int] = {}

    def failpoint(name: str, at_hand: bytes = b"") -> None:
        if name not in armed:
            return
        action, nth, text = armed[name]
        if text not in at_hand:
            return
        passed[name] = passed.get(name, 0) + 1
        if passed[name] < nth:
            return
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise FailpointError(name)

    return failpoint


def _armed_by_the_environment() -> Callable[..., None]:
    try:
        return arm(os.environ.get("FAILPOINTS", ""))
    except ValueError as error:
        # While modules are imported nobody is there yet to catch it.
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(2)


failpoint = _armed_by_the_environment()
# For a loop that would feel a thousand calls of an empty function.
is_armed = failpoint is not _nothing
