"""Measurements of many sensors into one file, by sensor and then by time.

It is written to FILE.part, which is renamed to FILE once it is whole and on the disk. Each second FILE.part
is synced to the disk, and a checkpoint (the bookmark beside it) notes its length and the last row. A run that
resumes truncates the file there and goes on after that row.
"""

import gzip
import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from django.utils.translation import gettext

from monitoring.transfer.bookmark import Bookmark, sync_folder
from monitoring.transfer.formats import Format
from monitoring.transfer.rows_out import Selection, chunks, ends

_BOOKMARK_SECONDS = 1.0


class Standing(NamedTuple):
    """How far it has come. `share`: of the whole, by sensors and time, from 0 to 1."""

    rows: int
    share: float
    sensor_id: int
    last: datetime


class ResumeError(Exception):
    """What was begun is not what is asked for; the message says so."""


def write_stream(
    file: BinaryIO, selections: Sequence[Selection], form: Format, tell: Callable[[Standing], None]
) -> int:
    """To a pipe: returns the number of rows."""
    file.write(form.header)
    rows = 0
    for standing, text in _all(selections, form, None):
        file.write(text)
        rows = standing.rows
        tell(standing)
    file.flush()
    return rows


def write_file(
    path: Path,
    selections: Sequence[Selection],
    form: Format,
    asked: dict[str, Any],
    resume: bool,
    tell: Callable[[Standing], None],
) -> int:
    """Returns the number of rows in the file. A name that ends in .gz: compressed, a member a chunk.

    `asked`: what the caller was asked for, as JSON knows it. Raises ResumeError where that is not what the
    file to go on with was begun with.
    """
    pack = partial(gzip.compress, compresslevel=6) if path.suffix == ".gz" else bytes
    part = path.with_name(path.name + ".part")
    bookmark = Bookmark(part.with_name(part.name + ".bookmark"))
    found = bookmark.read() if resume and part.exists() else {}
    if found and found.get("asked") != asked:
        problem = gettext("%s was begun with other options: give the same, or leave --resume out")
        raise ResumeError(problem % part)
    with part.open("r+b" if found else "wb") as file:
        if found:
            file.truncate(found["bytes"])
            file.seek(found["bytes"])
        else:
            bookmark.remove()
            file.write(pack(form.header) if form.header else b"")
        rows = before = int(found.get("rows", 0))
        noted = time.monotonic()
        for standing, text in _all(selections, form, found or None):
            file.write(pack(text))
            rows = before + standing.rows
            tell(standing._replace(rows=rows))
            if time.monotonic() - noted >= _BOOKMARK_SECONDS:
                _sync(file)
                bookmark.write(
                    asked=asked,
                    bytes=file.tell(),
                    rows=rows,
                    sensor=standing.sensor_id,
                    last=standing.last.isoformat(),
                )
                noted = time.monotonic()
        _sync(file)
    part.replace(path)
    sync_folder(path.parent)
    bookmark.remove()
    return rows


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _all(
    selections: Sequence[Selection], form: Format, found: dict[str, Any] | None
) -> Iterator[tuple[Standing, bytes]]:
    """The text chunk by chunk; what a bookmark says was `found` written already is left out."""
    rows = 0
    for place, selection in enumerate(selections):
        after = None
        if found:
            if selection.sensor_id < found["sensor"]:
                continue
            if selection.sensor_id == found["sensor"]:
                after = datetime.fromisoformat(found["last"])
        span = ends(selection)
        if span is None:
            continue
        first, last = span
        for chunk in chunks(selection, form, after):
            rows += chunk.rows
            within = min(1.0, (chunk.last - first) / (last - first)) if last > first else 1.0
            share = (place + within) / len(selections)
            yield Standing(rows, share, selection.sensor_id, chunk.last), chunk.text
