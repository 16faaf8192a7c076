"""From text to JSON values, each with its place in the text. It forgives nothing but a sensor's NaN."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import msgspec

from monitoring.decoders.limits import MAX_NESTING

_WHITESPACE = re.compile(r"[ \t\r\n]*")
_COMMA = re.compile(r"[ \t\r\n]*,[ \t\r\n]*")
_MAX_DIGITS = 310  # an integer of more is beyond 1.8e308, the largest float

# What C's printf and MicroPython print for a value that is not a number.
_BARE_NAN = re.compile(
    r'("value"[ \t\r\n]*:[ \t\r\n]*)([+-]?(?:nan|inf(?:inity)?)(?:\([a-z0-9_]*\))?)(?=[ \t\r\n]*[,}])',
    re.IGNORECASE,
)
# A string that never ends is taken to run to the end of the text: so the scan is linear whatever it is given.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
# A step in for what opens, and a step out, -1 as a signed byte, for what closes.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


class NotJson(ValueError):
    """The text is not JSON; says where, for a person."""


@dataclass(frozen=True, slots=True)
class NotFinite:
    """A number that no float holds, as it was written: 1e999, or NaN and Infinity, which are not JSON."""

    text: str
    is_json: bool


class Element(msgspec.Struct, frozen=True, gc=False):
    """A value and its place in the text."""

    start: int
    end: int
    found: Any
    constants: int
    """How many NaN and Infinity stand in it, at any depth."""


def parse(text: str) -> tuple[bool, list[Element]]:
    """Whether `text` is an array, and its elements; of anything else, the one value. Raises NotJson."""
    if nesting(text) > MAX_NESTING:
        raise NotJson(f"nested more than {MAX_NESTING} levels deep")
    try:
        return _scan(text)
    except NotJson as first:
        # The same length, so that every place found in the mended text is its place in the original.
        mended = _BARE_NAN.sub(lambda m: m[1] + "NaN".rjust(len(m[2])), text)
        if mended == text:
            raise
        try:
            return _scan(mended)
        except NotJson:
            raise first from None


def nesting(text: str) -> int:
    """How many levels of arrays and objects `text` has at most; over MAX_NESTING only where it has them."""
    if (openings := text.count("[") + text.count("{")) <= MAX_NESTING:
        return openings
    # A large array has ten thousand brackets: no step of this is taken in Python.
    outside = _STRING.sub("", text) if "\\" in text else "".join(text.split('"')[::2])
    steps = outside.encode().translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b"), initial=0))


def _scan(text: str) -> tuple[bool, list[Element]]:
    constants: list[str] = []

    def constant(name: str) -> NotFinite:
        constants.append(name)
        return NotFinite(name, is_json=False)

    decoder = json.JSONDecoder(parse_float=_float, parse_int=_int, parse_constant=constant)
    # What raw_decode calls: an array may have eight thousand elements.
    scan: Callable[[str, int], tuple[Any, int]] = decoder.scan_once  # type: ignore[attr-defined]
    try:
        at = _past_whitespace(text, 0)
        if not text.startswith("[", at):
            found, end = scan(text, at)
            _expect_end(text, end)
            return False, [Element(at, end, found, len(constants))]
        elements: list[Element] = []
        at = _past_whitespace(text, at + 1)
        if not text.startswith("]", at):
            while True:
                found, end = scan(text, at)
                elements.append(Element(at, end, found, len(constants)))
                comma = _COMMA.match(text, end)
                if comma is None:
                    break
                length, with_comma = end - at, text[at : comma.end()]
                at = comma.end()
                while text.startswith(with_comma, at):  # of a run of them one is read
                    elements.append(Element(at, at + length, found, len(constants)))
                    at += len(with_comma)
                constants.clear()
            at = _past_whitespace(text, end)
            if not text.startswith("]", at):
                raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
        _expect_end(text, at + 1)
        return True, elements
    except (StopIteration, json.JSONDecodeError) as error:
        if isinstance(error, StopIteration):  # how the scanner says that no value stands there
            error = json.JSONDecodeError("Expecting value", text, error.value)
        raise NotJson(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise NotJson("nested too deep") from None


def _expect_end(text: str, at: int) -> None:
    at = _past_whitespace(text, at)
    if text.startswith("\0", at):
        raise json.JSONDecodeError(
            "A NUL follows the JSON (was the C string's terminator sent with it?)", text, at
        )
    if at < len(text):
        raise json.JSONDecodeError("Extra data", text, at)


def _past_whitespace(text: str, at: int) -> int:
    space = _WHITESPACE.match(text, at)
    return space.end() if space else at


def _float(text: str) -> float | NotFinite:
    number = float(text)
    return number if math.isfinite(number) else NotFinite(text, is_json=True)


def _int(text: str) -> int | NotFinite:
    # Python refuses to read more than 4,300 digits; no field has a use for them anyway.
    return int(text) if len(text) <= _MAX_DIGITS else NotFinite(text, is_json=True)
