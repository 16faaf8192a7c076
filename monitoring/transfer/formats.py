"""What both directions agree on: the columns, the two formats, and a unit that a spreadsheet would run."""

import re
from enum import StrEnum

COLUMNS = ("sensor", "created_at", "received_at", "value", "unit")

# A spreadsheet takes text that begins so for a formula. It gets a ' before it, and so does text that
# would look as if it had got one: that makes it reversible.
_GUARDED = re.compile(r"'+[=+\-@\t\r\n]")


class Format(StrEnum):
    CSV = "csv"
    NDJSON = "ndjson"

    @property
    def content_type(self) -> str:
        return "text/csv; charset=utf-8; header=present" if self is Format.CSV else "application/x-ndjson"

    @property
    def extension(self) -> str:
        """What a file's name ends in."""
        return str(self)

    @property
    def header(self) -> bytes:
        """What stands before the first row."""
        return (",".join(COLUMNS) + "\n").encode() if self is Format.CSV else b""


def unguarded(unit: str) -> str:
    """A CSV's unit without the ' that keeps a spreadsheet from running it."""
    return unit[1:] if _GUARDED.match(unit) else unit
