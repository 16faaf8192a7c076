"""Rejected messages once more: `manage.py replay --code unknown_sensor --sensor 12 --dry-run`."""

from argparse import ArgumentTypeError
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext, ngettext

from monitoring.decoders import Code
from monitoring.decoders.limits import MAX_SENSOR_ID, MAX_UNIT_CHARS
from monitoring.ingest.passing import is_passing
from monitoring.management.arguments import a_moment
from monitoring.management.progress import Progress
from monitoring.management.signals import until_signalled
from monitoring.models import Job
from monitoring.numbers import grouped
from monitoring.rejected import jobs
from monitoring.rejected.replay import UnitChange
from monitoring.rejected.selection import Selection
from monitoring.upkeep.pieces import TimeShare

STOPPED = 130
# How long a worker that is at a job is waited for before its progress is shown again.
WAIT_MS = 500


def an_id(text: str) -> int:
    number = int(text)
    if not 0 < number <= MAX_SENSOR_ID:
        said = {"text": text, "most": MAX_SENSOR_ID}
        raise ArgumentTypeError(gettext("%(text)s is not between 1 and %(most)d") % said)
    return number


def a_unit(text: str) -> str:
    if not 0 < len(text) <= MAX_UNIT_CHARS:
        raise ArgumentTypeError(gettext("a unit has 1 to %d characters") % MAX_UNIT_CHARS)
    return a_text(text)


def a_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        # A shell can give bytes that are none.
        raise ArgumentTypeError(gettext("not UTF-8")) from None
    return text


class Command(BaseCommand):
    help = gettext(
        "Replays the rejected messages that wait and meet all that is said, as of when they came. A job does"
        " it, in pieces, and this command works at that: Ctrl-C stops it between two, and what is done stays."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add(
            "--code",
            choices=[code.value for code in Code],
            metavar="CODE",
            help=gettext("refused with this code"),
        )
        add("--sensor", type=an_id, metavar="N", help=gettext("that name this sensor"))
        add("--topic", type=a_text, help=gettext("that came on this topic"))
        add(
            "--from", dest="start", type=a_moment, help=gettext("received from then on: 2026-01-01T00:00:00Z")
        )
        add("--to", dest="until", type=a_moment, help=gettext("received before then"))
        add("--id", dest="ids", type=an_id, nargs="+", action="extend", metavar="N", help=gettext("these"))
        add("--all", action="store_true", help=gettext("all that wait"))
        add(
            "--unit",
            nargs=2,
            type=a_unit,
            metavar=("FROM", "TO"),
            help=gettext("readings in FROM are read as if they said TO"),
        )
        add("--dry-run", action="store_true", help=gettext("say what would come of it, and change nothing"))

    def handle(self, *args: Any, **options: Any) -> None:
        which = _selection(options)
        change = UnitChange(*options["unit"]) if options["unit"] else None
        self.stderr.style_func = None
        self._progress = Progress(self.stderr, gettext("messages"))
        try:
            _require_some(which)
            if options["dry_run"]:
                self._look(which, change)
            else:
                self._replay(which, change)
        except Exception as error:
            if not is_passing(error):
                raise
            raise CommandError(gettext("it cannot be done now: %s") % _first_line(error)) from None

    def _look(self, which: Selection, change: UnitChange | None) -> None:
        def tell(done: int, total: int) -> None:
            self._progress.show(done, done / max(done, total))

        try:
            sums = jobs.look(which, change, most=None, tell=tell)
        except KeyboardInterrupt:
            raise CommandError(gettext("stopped; nothing was changed"), returncode=STOPPED) from None
        came = _in_words(sums.messages, sums.stored, sums.duplicates, sums.rejected)
        self._progress.line(gettext("nothing was changed; %s") % came)

    def _replay(self, which: Selection, change: UnitChange | None) -> None:
        pk = jobs.request(Job.Kind.REPLAY, which, None, change).pk
        with until_signalled(lambda: setattr(self, "_is_to_stop", True)):
            job = self._worked_at(pk)
        came = _in_words(job.dealt_with, job.stored, job.duplicates, job.codes)
        if job.state == Job.State.STOPPED:
            text = gettext("stopped; %s; what is left waits on") % came
            raise CommandError(text, returncode=STOPPED)
        self._progress.line(came)

    _is_to_stop = False

    def _worked_at(self, pk: int) -> Job:
        """The job, once it is through: by this process, or by a worker that was at it before."""

        def tell() -> None:
            if self._is_to_stop:
                jobs.request_stop(pk)
            job = Job.objects.get(pk=pk)
            self._progress.show(job.dealt_with, job.dealt_with / max(1, job.total))

        while True:
            jobs.work(TimeShare(), only=pk, tell=tell, wait_ms=WAIT_MS)
            tell()
            job = Job.objects.get(pk=pk)
            if job.finished_at is not None:
                return job
            if job.error:
                said = {"error": job.error, "job": pk}
                text = gettext("%(error)s; job %(job)d is tried again by the worker for upkeep")
                raise CommandError(text % said)


def _selection(options: Mapping[str, Any]) -> Selection:
    """Raises CommandError where it is nothing, or two things."""
    start, until, ids = options["start"], options["until"], options["ids"]
    if start and until and start >= until:
        raise CommandError(gettext("--from must lie before --to"))
    which = Selection(
        code=options["code"],
        sensor=options["sensor"],
        topic=options["topic"],
        start=start,
        until=until,
        ids=tuple(ids) if ids else None,
    )
    if bool(which) == options["all"]:
        raise CommandError(
            gettext("say which: --code, --sensor, --topic, --from, --to or --id; or --all of them")
        )
    return which


def _require_some(which: Selection) -> None:
    if which.replayable().exists():
        return
    if which.waiting().exists():
        raise CommandError(
            gettext("of those only the beginning was kept: they are replayed one by one, each changed")
        )
    raise CommandError(gettext("nothing that waits meets this"))


def _in_words(messages: int, stored: int, duplicates: int, rejected: Mapping[str, int]) -> str:
    """of 1,204: 1,180 stored, 12 duplicates, 12 rejected again (unit_mismatch 12)"""
    again = ", ".join(f"{code} {grouped(count)}" for code, count in sorted(rejected.items()))
    text = ngettext(
        "of %(messages)s: %(stored)s stored, %(duplicates)s duplicate, %(rejected)s rejected again",
        "of %(messages)s: %(stored)s stored, %(duplicates)s duplicates, %(rejected)s rejected again",
        duplicates,
    ) % {
        "messages": grouped(messages),
        "stored": grouped(stored),
        "duplicates": grouped(duplicates),
        "rejected": grouped(sum(rejected.values())),
    }
    return text + (f" ({again})" if again else "")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
