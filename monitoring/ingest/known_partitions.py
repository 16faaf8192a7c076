"""The partitions that this process knows of, and making those that a batch needs before its transaction."""

from collections.abc import Collection, Iterable
from datetime import datetime

from batches.batch import to_datetime
from monitoring.decoders import MAX_CLOCK_AHEAD, Reading
from monitoring.ingest.progress import Progress
from monitoring.ingest.settle import Decoded
from monitoring.span import Span
from monitoring.upkeep.partitions import ensure_partitions, existing

_DAY_US = 86_400_000_000


class _Known:
    """The spans that are known to be there, so that a batch costs no look at the catalogue."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def clear(self) -> None:
        self._spans = []

    def cover(self, moment: datetime) -> bool:
        return any(span.start <= moment < span.end for span in self._spans)

    def cover_both(self, first: datetime, last: datetime) -> bool:
        """Whether one partition holds all that lies between them."""
        return any(span.start <= first and last < span.end for span in self._spans)

    def ensure(self, moments: Collection[datetime]) -> None:
        if not moments:
            return
        first, last = min(moments), max(moments)
        if self.cover_both(first, last):
            return  # nearly always: all of a batch in one month
        for moment in moments:
            if self.cover(moment):
                continue
            self._spans = sorted(existing().values(), reverse=True)
            if not self.cover(moment):
                ensure_partitions(moment, moment)
                self._spans = sorted(existing().values(), reverse=True)


_known = _Known()


def forget() -> None:
    """Invalidates the cache: the next batch reads the catalogue again."""
    _known.clear()


def ensure_for(progress: Progress, decoded: Iterable[Decoded], plain_us: Collection[int] = ()) -> None:
    """For all readings that may be stored (`plain_us`: the plain ones'); a hostile `ts` makes none."""
    messages = progress.batch.messages
    received = to_datetime(messages[0].received_us), to_datetime(messages[-1].received_us)
    latest = received[1] + MAX_CLOCK_AHEAD
    moments = {
        item.ts
        for _, items in decoded
        for item in items
        if isinstance(item, Reading) and item.ts is not None and progress.oldest <= item.ts <= latest
    }
    moments.update(moment for moment in received if moment >= progress.oldest)
    if plain_us:
        first, last = (to_datetime(edge(plain_us)) for edge in (min, max))
        if progress.oldest <= first and last <= latest and _known.cover_both(first, last):
            moments |= {first, last}
        else:
            # A partition begins at midnight: a moment of each day is enough.
            days = {us // _DAY_US: us for us in plain_us}
            found = (to_datetime(us) for us in days.values())
            moments.update(moment for moment in found if progress.oldest <= moment <= latest)
    _known.ensure(moments)
