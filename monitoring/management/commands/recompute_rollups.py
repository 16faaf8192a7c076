"""After rows were changed or deleted by SQL: `manage.py recompute_rollups --sensor 3 --from ... --to ...`."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error
from django.utils.translation import gettext

from monitoring.management.arguments import a_moment, sensor_ids
from monitoring.management.progress import Progress
from monitoring.numbers import grouped
from monitoring.rollups.buckets import DAY, floor
from monitoring.rollups.refresh import Refreshed, recompute

STOPPED = 130


class Command(BaseCommand):
    help = gettext(
        "Computes the minutes, hours and days of a span again, from the rows that are there now. A piece is a"
        " sensor's day and a transaction: stopped, the same command does it anew, and nothing is half done."
    )
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
            required=True,
            help=gettext("the first moment, included: 2026-01-01T00:00:00Z"),
        )
        add("--to", dest="end", type=a_moment, required=True, help=gettext("the last moment, not included"))

    def handle(self, *args: Any, **options: Any) -> None:
        start, end = options["start"], options["end"]
        if start >= end:
            raise CommandError(gettext("--from must lie before --to"))
        sensors = sensor_ids(options["sensor"])
        # Days of UTC, as the rollups have them: each is computed once.
        midnight = floor(start, DAY)
        days = -(-(end - midnight) // DAY)
        self.stderr.style_func = None
        progress, done = Progress(self.stderr, gettext("minutes")), Refreshed()
        try:
            for place, sensor in enumerate(sensors):
                for day in range(days):
                    first = midnight + timedelta(days=day)
                    done = done.plus(recompute(sensor, max(start, first), min(end, first + DAY)))
                    share = (place * days + day + 1) / (len(sensors) * days)
                    note = gettext("sensor %d") % sensor + f", {first:%Y-%m-%d}"
                    progress.show(done.minutes, share, note)
        except Error as error:
            text = str(error).strip().partition("\n")[0]
            again = gettext("the database: %s; the same command does it anew")
            raise CommandError(again % text) from None
        except KeyboardInterrupt:
            raise CommandError(
                gettext("stopped; the same command does it anew"), returncode=STOPPED
            ) from None
        counts = {"minutes": grouped(done.minutes), "sensors": grouped(len(sensors))}
        text = gettext("%(minutes)s minutes of %(sensors)s sensors") % counts
        if done.frozen:
            frozen = gettext(", of which %s stay as they are: their rows have gone")
            text += frozen % grouped(done.frozen)
        progress.line(text)
