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
from django.utils.translation import gettext

from monitoring.details import translated
from monitoring.management.progress import Progress
from monitoring.numbers import grouped
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
        said = {"text": text, "most": MAX_BATCH}
        raise ArgumentTypeError(gettext("%(text)s is not a whole number from 1 to %(most)d") % said)
    return int(text)


class Command(BaseCommand):
    help = gettext(
        "Stores the measurements of CSV or NDJSON files, each once: by its sensor and created_at. What was"
        " stopped goes on when it is run again. Exit code 1 where a line was refused."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add(
            "files",
            nargs="+",
            metavar="FILE",
            help=gettext("also compressed with gzip; - is stdin, CSV alone"),
        )
        add("--format", choices=["auto", *(str(form) for form in Format)], default="auto")
        add("--create-sensors", action="store_true", help=gettext("make the sensors that do not exist"))
        add("--batch", type=batch_size, default=5000, metavar="N", help=gettext("lines a transaction (5000)"))
        add(
            "--refused",
            metavar="FILE",
            help=gettext(
                "a CSV of all lines that were refused, and why, added to its end;"
                " else the first %d of each reason are shown"
            )
            % MOST_SHOWN,
        )
        add(
            "--conflicts",
            metavar="FILE",
            help=gettext("the same of lines whose moment has another value already"),
        )

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
                progress = Progress(self.stderr, gettext("lines"))
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
            parts = [gettext("%s lines were not stored") % grouped(not_stored)] if not_stored else []
            parts += [gettext("%d of the files could not be read to their end") % failed] if failed else []
            raise CommandError("; ".join(parts))

    def _run(self, name: str, file: FileIn, said: "_Said") -> bool:
        """Whether the file could be read to its end."""
        began = time.monotonic()
        again = gettext("%s; the same command goes on from here")
        problem = ""
        try:
            file.run()
        except FileError as error:
            problem = translated(str(error))
        except OSError as error:
            problem = error.strerror or str(error)
        except TooManyPartitionsError as error:
            raise CommandError(f"{name}: {translated(str(error))}") from None
        except PartitionLeavingError as error:
            self._sum_up(name, file, said, began)
            raise CommandError(f"{name}: {again % translated(str(error))}") from None
        except Error as error:
            self._sum_up(name, file, said, began)
            text = str(error).strip().partition("\n")[0]
            problem = gettext("the database: %s") % text
            raise CommandError(f"{name}: {again % problem}") from None
        except KeyboardInterrupt:
            self._sum_up(name, file, said, began)
            raise CommandError(f"{name}: {again % gettext('stopped')}", returncode=STOPPED) from None
        if problem:
            said.progress.line(f"{name}: {problem}")
        if not problem or file.counts.lines:
            self._sum_up(name, file, said, began)
        return not problem

    def _sum_up(self, name: str, file: FileIn, said: "_Said", began: float) -> None:
        said.more()
        counts: Counts = file.counts
        seconds = max(time.monotonic() - began, 0.001)
        refused = sorted(counts.refused.items())
        reasons = ", ".join(f"{reason} {grouped(number)}" for reason, number in refused)
        text = gettext(
            "%(lines)s lines: %(stored)s stored, %(duplicates)s duplicates, %(conflicts)s conflicts,"
            " %(refused)s refused"
        ) % {
            "lines": grouped(counts.lines),
            "stored": grouped(counts.stored),
            "duplicates": grouped(counts.duplicates),
            "conflicts": grouped(counts.conflicts),
            "refused": grouped(counts.refused.total()),
        }
        text += f" ({reasons})" if reasons else ""
        if file.resumed_at:
            resumed = {"sums": text, "line": grouped(file.resumed_at + 1)}
            text = gettext("%(sums)s; went on at line %(line)s") % resumed
        speed = grouped((counts.lines - file.lines_before) / seconds)
        text = gettext("%(sums)s; %(speed)s lines/s") % {"sums": text, "speed": speed}
        said.progress.line(f"{name}: {text}")


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
            self._refused.writerow([self.name, fault.line, fault.reason, translated(fault.detail)])
        else:
            self._show(fault.reason, fault.line, translated(fault.detail))

    def conflict(self, conflict: Conflict) -> None:
        row, unit, (value, stored_unit) = conflict
        if self._conflicts:
            moment = row.created_at.isoformat()
            fields = [row.line, row.sensor_id, moment, row.value, unit, value, stored_unit]
            self._conflicts.writerow([self.name, *fields])
            return
        text = gettext("%(ours)s in the file, %(theirs)s stored, for sensor %(sensor)d at %(moment)s")
        said = {
            "ours": f"{row.value!r} {unit}".rstrip(),
            "theirs": f"{value!r} {stored_unit}".rstrip(),
            "sensor": row.sensor_id,
            "moment": row.created_at.isoformat(),
        }
        self._show("conflict", row.line, text % said)

    def _show(self, reason: str, line: int, detail: str) -> None:
        self._seen[reason] += 1
        if self._seen[reason] <= MOST_SHOWN:
            self.progress.line(f"{self.name}:{line}: {reason}: {detail}")

    def more(self) -> None:
        for reason, number in self._seen.items():
            if number > MOST_SHOWN:
                more = gettext("%s more") % grouped(number - MOST_SHOWN)
                self.progress.line(f"{self.name}: {reason}: {more}")
