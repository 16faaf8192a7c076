"""`manage.py correct_books REASON`: after a restore the books balance again, and say what is missing."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext
from redis.exceptions import RedisError

from monitoring import books
from monitoring.models import Correction
from monitoring.numbers import grouped
from monitoring.store import batch_store

# A flood, and what it left pending, may pass.
PATIENCE_SECONDS = 10
PAUSE_SECONDS = 0.2


class Command(BaseCommand):
    help = gettext(
        "Notes what a restored database or a new Redis has forgotten, so that the books balance again."
        " Nothing else changes; the admin shows it under Corrections."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "reason", help=gettext("why, as it is to be read later: 'restored the dump of 3 May'")
        )

    def handle(self, *args: Any, reason: str, **options: Any) -> None:
        length = Correction._meta.get_field("reason").max_length
        reason = reason.strip()
        if not reason or len(reason) > (length or 0) or not reason.isprintable():
            raise CommandError(gettext("the reason is a line of 1 to %d characters") % length)
        try:
            made = _correct(reason)
        except books.NotKnown:
            raise CommandError(
                gettext("too much is pending to say what is missing: try again once it is less")
            ) from None
        except RedisError as error:
            text = gettext("Redis does not say what was handed over (REDIS_URL: %s)") % error
            raise CommandError(text) from None
        if made is None:
            self.stdout.write(gettext("nothing is missing: nothing to correct"))
        elif made.messages > 0:
            self.stdout.write(
                gettext("%s messages were handed over that the database does not know: noted")
                % grouped(made.messages)
            )
        else:
            text = gettext("%s messages in the ledger are unknown to Redis: noted")
            self.stdout.write(text % grouped(-made.messages))


def _correct(reason: str) -> Correction | None:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return books.correct(batch_store(), reason)
        except books.NotKnown:
            if time.monotonic() > end:
                raise
            time.sleep(PAUSE_SECONDS)
