"""Sensors from a CSV: `manage.py import_sensors sensors.csv --dry-run`."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext

from monitoring.details import translated
from monitoring.numbers import grouped
from monitoring.transfer.lines_in import FileError
from monitoring.transfer.sensors_in import COLUMNS, MAX_BYTES, carry_out, decoded, plan

MOST_SHOWN = 20


class Command(BaseCommand):
    help = gettext(
        "Adds and changes sensors as a CSV says, all of it or nothing. Its first line names columns among"
        " %s; a line with the id of a sensor changes it, any other adds one."
    ) % ", ".join(COLUMNS)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help=gettext("in UTF-8; - is stdin"))
        parser.add_argument("--dry-run", action="store_true", help=gettext("say what would come of it"))

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["file"]
        try:
            with sys.stdin.buffer if name == "-" else Path(name).open("rb") as file:
                text = decoded(file.read(MAX_BYTES + 1))
            done = plan(text) if options["dry_run"] else carry_out(text)
        except FileError as error:
            raise CommandError(f"{name}: {translated(str(error))}") from None
        except OSError as error:
            raise CommandError(f"{name}: {error.strerror or error}") from None
        for fault in done.refused[:MOST_SHOWN]:
            self.stderr.write(f"{name}:{fault.line}: {fault.reason}: {translated(fault.detail)}")
        if len(done.refused) > MOST_SHOWN:
            more = gettext("%s more") % grouped(len(done.refused) - MOST_SHOWN)
            self.stderr.write(f"{name}: {more}")
        if done.refused:
            text = gettext("%s lines are refused; nothing was changed") % grouped(len(done.refused))
            raise CommandError(text)
        for change in done.changed[:MOST_SHOWN]:
            said = "; ".join(f"{field}: {was!r} → {to!r}" for field, (was, to) in change.fields.items())
            self.stdout.write(gettext("sensor %d") % change.sensor.pk + f": {said}")
        text = gettext("%(added)s added, %(changed)s changed, %(same)s are as the file says")
        if options["dry_run"]:
            text = gettext(
                "%(added)s would be added, %(changed)s would be changed, %(same)s are as the file says"
            )
        counts = {"added": len(done.added), "changed": len(done.changed), "same": len(done.unchanged)}
        self.stdout.write(text % {name: grouped(count) for name, count in counts.items()})
