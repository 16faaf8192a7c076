"""A payload as a person reads it, with the place of its fault marked.

Payloads are hostile: all that this returns is text, to be escaped.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from monitoring.admin.payload import as_escaped, as_text
from monitoring.decoders import Code
from monitoring.decoders.json.syntax import nesting

# Of text that is cut into tokens, which are strings, brackets and what stands between them.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{},:]|[^\s\[\]{},:"]+')
# Deeper than that it is shown as it came: each level costs each of its lines two blanks.
_MOST_LEVELS = 8
_FIELD = re.compile(r'^(?:elements refused: .*?; the first of them is element \d+: )?"(\w+)"')
_LINE_AND_COLUMN = re.compile(r"at line (\d+) column (\d+)$")
_BYTE = re.compile(r"at position (\d+) is not UTF-8")
# What a code speaks of, where its detail does not begin with it.
_FIELDS = {
    Code.UNKNOWN_SENSOR.value: "sensor_id",
    Code.INACTIVE_SENSOR.value: "sensor_id",
    Code.CONFLICT.value: "value",
}
Step = str | int


class Piece(NamedTuple):
    text: str
    is_fault: bool


class Shown(NamedTuple):
    """`is_end`: the fault is that it ends there."""

    pieces: list[Piece]
    is_end: bool = False


def show(payload: bytes, code: str, detail: str, refused: Sequence[int] = ()) -> Shown:
    """`refused`: of an array that was kept whole, which elements."""
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        found = _BYTE.search(detail)
        at = int(found[1]) if found else error.start
        return Shown(_cut(at, at + 1, lambda start, end: as_escaped(payload[start:end]), len(payload)))
    if _is_json(text):
        # There may be eight thousand of them.
        elements = frozenset(refused)
        field = _FIELD.match(detail)
        name = field[1] if field else _FIELDS.get(code)

        def is_fault(path: tuple[Step, ...]) -> bool:
            return path[0] in elements if elements else path in ((name,), (0, name))

        return Shown(_joined(_pretty(text, is_fault)))
    if code == Code.NOT_JSON and (place := _place(text, detail)) is not None:
        pieces = _cut(place, place + 1, lambda start, end: as_text(text[start:end].encode()) or "", len(text))
        return Shown(pieces, is_end=place >= len(text))
    return Shown([Piece(as_text(payload) or "", False)])


def _is_json(text: str) -> bool:
    if nesting(text) > _MOST_LEVELS:
        return False
    try:
        # Numbers as they stand: Python refuses to read thousands of digits.
        json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True


def _place(text: str, detail: str) -> int | None:
    if found := _LINE_AND_COLUMN.search(detail):
        lines = text.split("\n")[: int(found[1]) - 1]
        return min(len(text), sum(len(line) + 1 for line in lines) + int(found[2]) - 1)
    return 0 if "byte order mark" in detail else None


def _cut(start: int, end: int, read: Callable[[int, int], str], length: int) -> list[Piece]:
    pieces = [Piece(read(0, start), False), Piece(read(start, end), True), Piece(read(end, length), False)]
    return [piece for piece in pieces if piece.text]


def _joined(pieces: Iterator[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for text, is_fault in pieces:
        if joined and joined[-1].is_fault == is_fault:
            joined[-1] = Piece(joined[-1].text + text, is_fault)
        else:
            joined.append(Piece(text, is_fault))
    return joined


def _pretty(text: str, is_fault: Callable[[tuple[Step, ...]], bool]) -> Iterator[Piece]:
    """JSON, a line for each value. Its tokens as they stand: reading and writing it would change numbers."""
    path: list[Step] = []
    marked: int | None = None  # the depth of the value that is at fault, while it lasts
    tokens = _TOKEN.findall(text)
    for place, part in enumerate(tokens):
        after = tokens[place + 1] if place + 1 < len(tokens) else ""
        before = tokens[place - 1] if place else ""
        depth = len(path)
        if part in ("}", "]"):
            path.pop()
            is_empty = before == {"}": "{", "]": "["}[part]
            yield Piece(part if is_empty else f"\n{'  ' * len(path)}{part}", marked is not None)
            if marked == len(path):
                marked = None
            continue
        if part == ",":
            if isinstance(path[-1], int):
                path[-1] += 1
            yield Piece(",", marked is not None)
            yield Piece("\n" + "  " * depth, marked is not None)
            continue
        if part == ":":
            yield Piece(": ", marked is not None)
            continue
        if path and isinstance(path[-1], str) and after == ":":
            path[-1] = json.loads(part, strict=False)
            yield Piece(_visible(part), marked is not None)
            continue
        if marked is None and path and is_fault(tuple(path)):
            marked = depth
        yield Piece(_visible(part), marked is not None)
        if part in ("{", "["):
            path.append("" if part == "{" else 0)
            if after not in ("}", "]"):
                yield Piece("\n" + "  " * len(path), marked is not None)
        elif marked == depth:
            marked = None


def _visible(part: str) -> str:
    return as_text(part.encode()) or ""
