"""Sensors from a CSV: `manage.py import_sensors sensors.csv --dry-run`."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from monitoring.transfer.lines_in import FileError
from monitoring.transfer.sensors_in import COLUMNS, MAX_BYTES, carry_out, decoded, plan

MOST_SHOWN = 20


class Command(BaseCommand):
    help = (
        f"Adds and changes sensors as a CSV says, all of it or nothing. Its first line names columns among"
        f" {', '.join(COLUMNS)}; a line with the id of a sensor changes it, any other adds one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="in UTF-8; - is stdin")
        parser.add_argument("--dry-run", action="store_true", help="say what would come of it")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["file"]
        try:
            with sys.stdin.buffer if name == "-" else Path(name).open("rb") as file:
                text = decoded(file.read(MAX_BYTES + 1))
            done = plan(text) if options["dry_run"] else carry_out(text)
        except FileError as error:
            raise CommandError(f"{name}: {error}") from None
        except OSError as error:
            raise CommandError(f"{name}: {error.strerror or error}") from None
        for fault in done.refused[:MOST_SHOWN]:
            self.stderr.write(f"{name}:{fault.line}: {fault.reason}: {fault.detail}")
        if len(done.refused) > MOST_SHOWN:
            self.stderr.write(f"{name}: {len(done.refused) - MOST_SHOWN:,} more")
        if done.refused:
            raise CommandError(f"{len(done.refused):,} lines are refused; nothing was changed")
        for change in done.changed[:MOST_SHOWN]:
            said = "; ".join(f"{field}: {was!r} → {to!r}" for field, (was, to) in change.fields.items())
            self.stdout.write(f"sensor {change.sensor.pk}: {said}")
        would = "would be " if options["dry_run"] else ""
        self.stdout.write(
            f"{len(done.added):,} {would}added, {len(done.changed):,} {would}changed,"
            f" {len(done.unchanged):,} are as the file says"
        )
