"""A board: what says `online`, and its last will `offline`, beside the readings of its sensors."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import models
from django.utils.translation import gettext_lazy as _

logger = logging.getLogger(__name__)

# Whoever may publish can make up names.
MOST_BOARDS = 10_000
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Heard(NamedTuple):
    """What a board said, and when that was received; `retained`: it is the broker's copy, of any age."""

    name: str
    online: bool
    at: datetime
    retained: bool


class BoardQuerySet(models.QuerySet["Board"]):
    def hear(self, heard: Iterable[Heard]) -> None:
        """Takes in what boards said; a few statements, however many. Call it in a transaction, at its end.

        Idempotent, and independent of the order of delivery: what is heard again, or after something newer,
        changes nothing, for batches are redelivered and stored concurrently. A board that is not known is
        made, while there are fewer than MOST_BOARDS.
        """
        said: defaultdict[str, list[Heard]] = defaultdict(list)
        for one in sorted(heard, key=lambda one: one.at):
            said[one.name].append(one)
        if not said:
            return
        boards = self._hold(said)
        missing = sorted(said.keys() - boards.keys())
        if missing:
            room = max(0, MOST_BOARDS - self.count())
            if len(missing) > room:
                logger.warning("%d boards are not taken in: there are %d", len(missing) - room, MOST_BOARDS)
            new = [Board(name=name, online=False, since=said[name][0].at) for name in missing[:room]]
            self.bulk_create(new, ignore_conflicts=True)
            boards |= self._hold(missing[:room])
        for name, board in boards.items():
            for one in said[name]:
                board.hear(one)
        self.bulk_update(boards.values(), ["online", "since", "said_at", "last_seen"])

    def _hold(self, names: Iterable[str]) -> dict[str, "Board"]:
        # In one order, so that two who hold several do not wait for each other.
        rows = self.filter(name__in=list(names)).order_by("name").select_for_update()
        return {board.name: board for board in rows}


class Board(models.Model):
    """Made when it is first heard of; written by ingest alone."""

    name = models.CharField(
        _("name"), max_length=100, unique=True, help_text=_("The last level of its status topic.")
    )
    online = models.BooleanField(_("online"))
    since = models.DateTimeField(_("since"), help_text=_("Since when it is known to be online, or offline."))
    # When that was received which `online` goes by: what was received before changes nothing any more.
    said_at = models.DateTimeField(default=_NEVER, editable=False)
    last_seen = models.DateTimeField(
        _("last seen"), null=True, help_text=_("When it last said that it is online.")
    )

    objects = BoardQuerySet.as_manager()

    class Meta:
        verbose_name = _("board")
        verbose_name_plural = _("boards")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def hear(self, heard: Heard) -> None:
        """Changes this instance as the message has it."""
        if heard.at >= self.said_at:
            if heard.online != self.online or self.said_at == _NEVER:
                self.online, self.since = heard.online, heard.at
            self.said_at = heard.at
        if heard.online and not heard.retained and (self.last_seen is None or heard.at > self.last_seen):
            self.last_seen = heard.at
