"""With how many examples a property is tried: a fourth of them by `make test`, all by `.ci/run`."""

import os

VARIABLE = "EXAMPLES"


def examples(number: int) -> int:
    """Of so many, those that are tried now: all where EXAMPLES=all."""
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "all"):
        raise ValueError(f'{VARIABLE} is "{asked}"; it can be "all", or not set')
    return number if asked else -(-number // 4)
