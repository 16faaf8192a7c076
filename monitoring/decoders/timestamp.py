"""The device's time, as the payload's `ts` gives it."""

import re
from datetime import UTC, datetime

# datetime.fromisoformat() also takes weeks, bare dates and naive times; neither form here has them.
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}"
_RFC3339 = re.compile(_DAY + "[Tt ]" + _CLOCK + r"(?:\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])")
# What is read in one way alone too (docs/decisions/0022): an offset as +0100 or +01, " UTC", a comma, no T.
_CLOSE_TO_IT = re.compile(
    rf"(?P<day>{_DAY})[Tt ](?P<clock>{_CLOCK}(?:[.,][0-9]+)?)"
    r"(?: ?(?:(?P<utc>[Zz]|UTC)|(?P<offset>[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)))?"
)
# From 2001 to 2286. Fewer digits, or more, may be a date (20260128) or another unit.
_UNIX_SECONDS = re.compile(r"[0-9]{10}(?:\.[0-9]+)?")
_AROUND = " \t\r\n"
_LOOKS_LIKE_MILLISECONDS = 1e11


def moment(ts: float | str) -> datetime:
    """The time that `ts` names: aware, UTC, to the microsecond.

    A number is Unix seconds, rounded to the nearest microsecond (ties to even); so are ten digits, with or
    without a fraction, in a string. Any other string is RFC 3339 with an offset, or close enough to it to be
    read in one way alone; what its fraction has beyond microseconds is cut off. Raises ValueError, with a
    text for the device's owner, for anything else.
    """
    if isinstance(ts, str):
        return _from_iso(ts.upper()) if _RFC3339.fullmatch(ts) else _from_text(ts.strip(_AROUND))
    try:
        return datetime.fromtimestamp(ts, UTC)
    except (ValueError, OverflowError, OSError):
        if ts > _LOOKS_LIKE_MILLISECONDS:
            raise ValueError("is out of range and looks like milliseconds: send seconds") from None
        raise ValueError("is out of range: send Unix seconds") from None


def _from_text(ts: str) -> datetime:
    if _UNIX_SECONDS.fullmatch(ts):
        return moment(float(ts))
    form = _CLOSE_TO_IT.fullmatch(ts)
    if form is None:
        raise ValueError('is not an RFC 3339 time such as "2026-01-28T15:07:55Z"')
    offset = "Z" if form["utc"] else form["offset"]
    if offset is None:
        raise ValueError('has no offset: send UTC with a "Z" at its end, or an offset such as "+01:00"')
    return _from_iso(f"{form['day']}T{form['clock']}{offset}")


def _from_iso(ts: str) -> datetime:
    try:
        return datetime.fromisoformat(ts).astimezone(UTC)
    except (ValueError, OverflowError) as impossible:
        raise ValueError(f"is no time that can be ({impossible})") from None
