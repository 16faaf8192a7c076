"""`manage.py retention`: what has been kept long enough goes now; with --dry-run, what would go."""

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError

from monitoring import books
from monitoring.models import RetentionRun
from monitoring.numbers import grouped
from monitoring.upkeep import folding, removal
from monitoring.upkeep.dropping import drop_partitions
from monitoring.upkeep.expiring import delete_expired, expired
from monitoring.upkeep.pieces import TimeShare
from monitoring.upkeep.tables import TABLES, due

HEAD = (
    _("what"),
    pgettext_lazy("above a column", "of"),
    _("rows"),
    _("bytes"),
    pgettext_lazy("above a column", "from"),
    pgettext_lazy("above a column", "to"),
)
NUMBERS = (2, 3)
Row = tuple[str, str, str, str, str, str]


class Command(BaseCommand):
    help = gettext("Drops partitions and deletes rows that have been kept long enough, as beat's jobs do.")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help=gettext("only say what would go"))

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        if dry_run:
            self._print(_due(), gettext("nothing has been kept long enough to go"))
            self.stdout.write(gettext("~ by PostgreSQL's statistics; rows in pieces give no bytes back"))
            return
        before = datetime.now(UTC)
        drop_partitions()
        delete_expired(TimeShare())
        removal.remove_sensors(TimeShare())
        problem = _fold()
        self._print(
            [_row(run) for run in RetentionRun.objects.filter(last_at__gte=before)], gettext("nothing went")
        )
        waiting = [part.name for kept in TABLES for part in due(kept)]
        if waiting:
            why = gettext("still being read, or in the hands of another run, so they go with a later one")
            self.stdout.write(f"{why}: {', '.join(waiting)}")
        if problem:
            raise CommandError(problem)

    def _print(self, rows: list[Row], otherwise: str) -> None:
        if not rows:
            self.stdout.write(otherwise)
            return
        table = [tuple(map(str, HEAD)), *sorted(rows, key=lambda row: row[4])]
        widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
        for row in table:
            cells = [
                cell.rjust(width) if column in NUMBERS else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            self.stdout.write("  ".join(cells).rstrip())


def _fold() -> str:
    """What stood in its way, if anything."""
    try:
        oldest_pending = books.oldest_pending()
    except RedisError as error:
        text = gettext("Redis does not say what is pending (REDIS_URL: %s), so the ledger was not folded")
        return text % error
    folding.fold(TimeShare(), oldest_pending)
    return ""


def _due() -> list[Row]:
    rows = [
        _cells(RetentionRun.Kind.PARTITION, part.name, part.rows, part.bytes, part.span.start, part.span.end)
        for kept in TABLES
        for part in due(kept)
    ]
    rows += [_cells(one.kind, one.target, one.rows, None, one.first, one.last) for one in expired()]
    for sensor, going in removal.requested():
        rows.append(
            _cells(RetentionRun.Kind.SENSOR, sensor.pk, going.measurements, None, going.first, going.last)
        )
    return rows


def _row(run: RetentionRun) -> Row:
    return _cells(RetentionRun.Kind(run.kind), run.target, run.rows, run.freed or None, run.first, run.last)


def _cells(
    kind: RetentionRun.Kind,
    target: object,
    rows: int,
    freed: int | None,
    first: datetime | None,
    last: datetime | None,
) -> Row:
    return (
        str(kind.label),
        str(target) or "-",
        f"{'~' if kind is RetentionRun.Kind.PARTITION else ''}{grouped(rows)}",
        "-" if freed is None else filesizeformat(freed).replace("\xa0", " "),
        f"{first:%Y-%m-%d}" if first else "-",
        f"{last:%Y-%m-%d}" if last else "-",
    )
