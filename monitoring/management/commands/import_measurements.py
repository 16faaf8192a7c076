"""Measurements from files: `manage.py import_measurements sensor-3.csv.gz --create-sensors`."""

import csv
import time
from argparse import ArgumentTypeError
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from monitoring.management.progress import Progress
from monitoring.transfer.file_in import Counts, FileIn, How
from monitoring.transfer.formats import Format
from monitoring.transfer.lines_in import Fault, FileError
from monitoring.transfer.rows_in import Conflict
from monitoring.upkeep.partitions import PartitionLeavingError, TooManyPartitionsError

MOST_SHOWN = 20
MAX_BATCH = 50_000
STOPPED = 130


def batch_size(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= MAX_BATCH):
        raise ArgumentTypeError(f"{text} is not a whole number from 1 to {MAX_BATCH}")
    return int(text)


class Command(BaseCommand):
    help = (
        "Stores the measurements of CSV or NDJSON files, each once: by its sensor and created_at. What was"
        " stopped goes on when it is run again. Exit code 1 where a line was refused."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("files", nargs="+", metavar="FILE", help="also compressed with gzip; - is stdin, CSV alone")
        add("--format", choices=["auto", *(str(form) for form in Format)], default="auto")
        add("--create-sensors", action="store_true", help="make the sensors that do not exist")
        add("--batch", type=batch_size, default=5000, metavar="N", help="lines a transaction (5000)")
        add(
            "--refused",
            metavar="FILE",
            help="a CSV of all lines that were refused, and why, added to its end;"
            f" else the first {MOST_SHOWN} of each reason are shown",
        )
        add("--conflicts", metavar="FILE", help="the same of lines whose moment has another value already")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stderr.style_func = None
        form = None if options["format"] == "auto" else Format(options["format"])
        failed = not_stored = 0
        with ExitStack() as files:
            refused = _report(files, options["refused"], "file,line,reason,detail")
            conflicts = _report(
                files,
                options["conflicts"],
                "file,line,sensor,created_at,value,unit,stored_value,stored_unit",
            )
            for name in options["files"]:
                progress = Progress(self.stderr, "lines")
                said = _Said(name, progress, refused, conflicts)
                how = How(
                    options["create_sensors"],
                    options["batch"],
                    form,
                    said.fault,
                    said.conflict,
                    said.progressed,
                )
                file = FileIn(None if name == "-" else Path(name), how)
                failed += not self._run(name, file, said)
                not_stored += file.counts.not_stored
        if failed or not_stored:
            parts = [f"{not_stored:,} lines were not stored"] if not_stored else []
            parts += [f"{failed} of the files could not be read to their end"] if failed else []
            raise CommandError("; ".join(parts))

    def _run(self, name: str, file: FileIn, said: "_Said") -> bool:
        """Whether the file could be read to its end."""
        began = time.monotonic()
        again = "the same command goes on from here"
        problem = ""
        try:
            file.run()
        except FileError as error:
            problem = str(error)
        except OSError as error:
            problem = error.strerror or str(error)
        except TooManyPartitionsError as error:
            raise CommandError(f"{name}: {error}") from None
        except PartitionLeavingError as error:
            self._sum_up(name, file, said, began)
            raise CommandError(f"{name}: {error}; {again}") from None
        except Error as error:
            self._sum_up(name, file, said, began)
            text = str(error).strip().partition("\n")[0]
            raise CommandError(f"{name}: the database: {text}; {again}") from None
        except KeyboardInterrupt:
            self._sum_up(name, file, said, began)
            raise CommandError(f"{name}: stopped; {again}", returncode=STOPPED) from None
        if problem:
            said.progress.line(f"{name}: {problem}")
        if not problem or file.counts.lines:
            self._sum_up(name, file, said, began)
        return not problem

    def _sum_up(self, name: str, file: FileIn, said: "_Said", began: float) -> None:
        said.more()
        counts: Counts = file.counts
        seconds = max(time.monotonic() - began, 0.001)
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in sorted(counts.refused.items()))
        said.progress.line(
            f"{name}: {counts.lines:,} lines: {counts.stored:,} stored, {counts.duplicates:,} duplicates,"
            f" {counts.conflicts:,} conflicts, {counts.refused.total():,} refused"
            + (f" ({reasons})" if reasons else "")
            + (f"; went on at line {file.resumed_at + 1:,}" if file.resumed_at else "")
            + f"; {(counts.lines - file.lines_before) / seconds:,.0f} lines/s"
        )


def _report(files: ExitStack, name: str | None, header: str) -> Any:
    """A csv.writer at the end of the file, or None."""
    if not name:
        return None
    try:
        opened = Path(name).open("a", newline="", encoding="utf-8", buffering=1)  # noqa: SIM115
        file = files.enter_context(opened)
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}") from None
    if file.tell() == 0:
        file.write(header + "\n")
    return csv.writer(file, lineterminator="\n")


class _Said:
    """What is said of a file's lines: into the reports, or the first of each reason on stderr."""

    def __init__(self, name: str, progress: Progress, refused: Any, conflicts: Any) -> None:
        self.name, self.progress = name, progress
        self._refused, self._conflicts = refused, conflicts
        self._seen: Counter[str] = Counter()

    def progressed(self, counts: Counts, share: float) -> None:
        self.progress.show(counts.lines, share, self.name)

    def fault(self, fault: Fault) -> None:
        if self._refused:
            self._refused.writerow([self.name, *fault])
        else:
            self._show(fault.reason, fault.line, fault.detail)

    def conflict(self, conflict: Conflict) -> None:
        row, unit, (value, stored_unit) = conflict
        if self._conflicts:
            moment = row.created_at.isoformat()
            fields = [row.line, row.sensor_id, moment, row.value, unit, value, stored_unit]
            self._conflicts.writerow([self.name, *fields])
            return
        self._show(
            "conflict",
            row.line,
            f"{row.value!r} {unit}".rstrip()
            + f" in the file, {value!r} {stored_unit}".rstrip()
            + f" stored, for sensor {row.sensor_id} at {row.created_at.isoformat()}",
        )

    def _show(self, reason: str, line: int, detail: str) -> None:
        self._seen[reason] += 1
        if self._seen[reason] <= MOST_SHOWN:
            self.progress.line(f"{self.name}:{line}: {reason}: {detail}")

    def more(self) -> None:
        for reason, number in self._seen.items():
            if number > MOST_SHOWN:
                self.progress.line(f"{self.name}: {reason}: {number - MOST_SHOWN:,} more")
