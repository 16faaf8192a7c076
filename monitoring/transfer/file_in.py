"""One file into the database: read and stored batch by batch, each followed by a bookmark (a checkpoint).

Run again, it resumes at the bookmark. Without one it begins anew, which is idempotent: what is stored already
is a duplicate. A bookmark counts only while the ledger knows the batch it names (else it is another
database, or one that was restored) and the file is unchanged.
"""

import gzip
import io
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from monitoring.models import IngestBatch
from monitoring.transfer.bookmark import Bookmark
from monitoring.transfer.formats import Format
from monitoring.transfer.lines_in import MAX_LINE_BYTES, Fault, FileError, Line, Reader, Row, lines
from monitoring.transfer.rows_in import Conflict, store

_GZIP = b"\x1f\x8b"


@dataclass
class Counts:
    """lines = stored + duplicates + conflicts + those refused, by reason. Empty lines are none."""

    lines: int = 0
    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.refused = Counter(self.refused)

    @property
    def not_stored(self) -> int:
        return self.conflicts + self.refused.total()


@dataclass(frozen=True)
class How:
    """`tell(counts, share of the file)` after each batch."""

    create_sensors: bool
    batch: int
    form: Format | None
    on_fault: Callable[[Fault], None]
    on_conflict: Callable[[Conflict], None]
    tell: Callable[[Counts, float], None]


class FileIn:
    """`path` None: standard input, without a bookmark. `counts` hold what earlier runs counted too."""

    def __init__(self, path: Path | None, how: How) -> None:
        self.path, self.how = path, how
        self.counts = Counts()
        # Where this run went on, as a number of lines; and how many of them were not empty.
        self.resumed_at = self.lines_before = 0
        self._bookmark = Bookmark(path.with_name(path.name + ".progress")) if path else None
        self._entry: str | None = None

    def run(self) -> None:
        """Raises FileError, OSError, TooManyPartitionsError, PartitionLeavingError, django.db.Error."""
        with self._open() as raw:
            size = self._size()
            file = self._unpacked(raw)
            try:
                first = file.readline(MAX_LINE_BYTES + 2)
                reader = Reader(self.path.name if self.path else "", first, self.how.form)
                number = self._find_place(file, first, reader)
                batch: list[Row | Fault] = []
                line = None
                for line in lines(file, number):
                    found = reader.read(line)
                    if found is not None:
                        batch.append(found)
                    if len(batch) >= self.how.batch:
                        self._store(batch, line, raw, size)
                        batch = []
                if line is not None and batch:
                    self._store(batch, line, raw, size)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise FileError(f"the archive is damaged or cut off: {error}") from None
        if self._bookmark:
            self._bookmark.remove()

    def _open(self) -> BinaryIO:
        return self.path.open("rb") if self.path else sys.stdin.buffer

    def _unpacked(self, raw: BinaryIO) -> BinaryIO:
        if not raw.peek(2).startswith(_GZIP):  # type: ignore[attr-defined]
            return raw
        return io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 17)

    def _size(self) -> int:
        return self.path.stat().st_size if self.path else 0

    def _state(self) -> dict[str, Any]:
        assert self.path
        status = self.path.stat()
        return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}

    def _find_place(self, file: BinaryIO, first: bytes, reader: Reader) -> int:
        """Stands before the first line that is to be read; returns how many lines lie before."""
        found = self._bookmark.read() if self._bookmark else {}
        if (
            found
            and found.get("file") == self._state()
            and IngestBatch.objects.filter(pk=found["entry"]).exists()
        ):
            self.counts = Counts(**found["counts"])
            self.lines_before = self.counts.lines
            self._entry, self.resumed_at = found["entry"], found["line"]
            file.seek(found["bytes"])
            return self.resumed_at
        if reader.has_header:
            return 1
        if self.path:
            file.seek(0)
            return 0
        raise FileError("standard input is read as CSV alone: save the rest to a file first")

    def _store(self, batch: list[Row | Fault], line: Line, raw: BinaryIO, size: int) -> None:
        outcome = store([one for one in batch if isinstance(one, Row)], self.how.create_sensors)
        refused = [one for one in batch if isinstance(one, Fault)] + outcome.refused
        self.counts.lines += len(batch)
        self.counts.stored += outcome.stored
        self.counts.duplicates += outcome.duplicates
        self.counts.conflicts += len(outcome.conflicts)
        self.counts.refused.update(fault.reason for fault in refused)
        for fault in sorted(refused):
            self.how.on_fault(fault)
        for conflict in outcome.conflicts:
            self.how.on_conflict(conflict)
        self._entry = str(outcome.entry) if outcome.entry else self._entry
        if self._bookmark and self._entry:
            with suppress(PermissionError):  # a folder that is not ours to write in: begin anew, then
                self._bookmark.write(
                    file=self._state(),
                    bytes=line.end,
                    line=line.number,
                    entry=self._entry,
                    counts=vars(self.counts),
                )
        with suppress(OSError):  # a pipe has no place to be at
            self.how.tell(self.counts, raw.tell() / size if size else 0.0)
