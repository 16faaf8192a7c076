"""The device's time, as the payload's `ts` gives it."""

import re
from datetime import UTC, datetime

# datetime.fromisoformat() also takes weeks, bare dates, commas and naive times; RFC 3339 has none of them.
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]"
    r"(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?P<offset>[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
)
_LOOKS_LIKE_MILLISECONDS = 1e11


def moment(ts: float | str) -> datetime:
    """The time that `ts` names: aware, UTC, to the microsecond.

    A number is Unix seconds, rounded to the nearest microsecond (ties to even). A string is RFC 3339 with
    an offset; what its fraction has beyond microseconds is cut off. Raises ValueError, with a text for the
    device's owner, for anything else.
    """
    if isinstance(ts, str):
        return _from_text(ts)
    try:
        return datetime.fromtimestamp(ts, UTC)
    except (ValueError, OverflowError, OSError):
        if ts > _LOOKS_LIKE_MILLISECONDS:
            raise ValueError("is out of range and looks like milliseconds: send seconds") from None
        raise ValueError("is out of range: send Unix seconds") from None


def _from_text(ts: str) -> datetime:
    form = _RFC3339.fullmatch(ts)
    if form is None:
        raise ValueError('is not an RFC 3339 time such as "2026-01-28T15:07:55Z"')
    if form["offset"] is None:
        raise ValueError('has no offset: send UTC with a "Z" at its end, or an offset such as "+01:00"')
    try:
        return datetime.fromisoformat(ts.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as impossible:
        raise ValueError(f"is no time that can be ({impossible})") from None
