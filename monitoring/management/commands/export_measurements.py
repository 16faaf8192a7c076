"""Measurements into a file: `manage.py export_measurements --sensor 3 --output sensor-3.csv.gz`."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error
from django.utils.translation import gettext

from monitoring.management.arguments import a_moment, sensor_ids
from monitoring.management.progress import Progress
from monitoring.numbers import grouped
from monitoring.transfer.file_out import ResumeError, Standing, write_file, write_stream
from monitoring.transfer.formats import Format
from monitoring.transfer.rows_out import Selection

STOPPED = 130


class Command(BaseCommand):
    help = gettext("Writes measurements as CSV or NDJSON, by sensor and then by time.")
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add(
            "--sensor",
            type=int,
            action="append",
            metavar="N",
            help=gettext("this one; may be repeated (all)"),
        )
        add(
            "--from",
            dest="start",
            type=a_moment,
            help=gettext("the first moment, included: 2026-01-01T00:00:00Z"),
        )
        add("--to", dest="end", type=a_moment, help=gettext("the last moment, not included"))
        add("--format", choices=[str(form) for form in Format], help=gettext("(by FILE's name, else csv)"))
        add(
            "--output",
            default="-",
            metavar="FILE",
            help=gettext(
                "compressed where it ends in .gz; there only once it is whole, FILE.part until then;"
                " - is stdout (-)"
            ),
        )
        add(
            "--resume", action="store_true", help=gettext("go on with the FILE.part that an earlier run left")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path = None if options["output"] == "-" else Path(options["output"])
        if path is None and options["resume"]:
            raise CommandError(gettext("--resume needs --output FILE"))
        start, end = options["start"], options["end"]
        if start and end and start >= end:
            raise CommandError(gettext("--from must lie before --to"))
        form = Format(options["format"] or _by_name(path))
        selections = [Selection(number, start, end) for number in sensor_ids(options["sensor"])]
        progress = Progress(self.stderr, gettext("rows"))
        self.stderr.style_func = None
        began = time.monotonic()

        def tell(standing: Standing) -> None:
            note = gettext("sensor %d") % standing.sensor_id + f", {standing.last:%Y-%m-%d}"
            progress.show(standing.rows, standing.share, note)

        try:
            if path is None:
                rows = write_stream(sys.stdout.buffer, selections, form, tell)
            else:
                asked = {
                    "sensors": options["sensor"],
                    "from": start and start.isoformat(),
                    "to": end and end.isoformat(),
                    "format": str(form),
                }
                rows = write_file(path, selections, form, asked, options["resume"], tell)
        except ResumeError as error:
            raise CommandError(str(error)) from None
        except BrokenPipeError:  # whoever read it has gone, as `| head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
        except OSError as error:
            raise CommandError(f"{error.filename or path or 'stdout'}: {error.strerror}") from None
        except Error as error:
            problem = str(error).strip().partition("\n")[0]
            raise CommandError(_to_go_on(gettext("the database: %s") % problem, path)) from None
        except KeyboardInterrupt:
            raise CommandError(_to_go_on(gettext("stopped"), path), returncode=STOPPED) from None
        seconds = max(time.monotonic() - began, 0.001)
        text = gettext("%(rows)s rows of %(sensors)s sensors in %(seconds)s s") % {
            "rows": grouped(rows),
            "sensors": grouped(len(selections)),
            "seconds": grouped(seconds, 1),
        }
        progress.line(f"{path or 'stdout'}: {text}")


def _by_name(path: Path | None) -> Format:
    name = path.name.removesuffix(".gz") if path else ""
    return Format.NDJSON if name.endswith((".ndjson", ".jsonl")) else Format.CSV


def _to_go_on(problem: str, path: Path | None) -> str:
    return gettext("%s; the same command with --resume goes on") % problem if path else problem
