"""Which kept span is which of those that hold: pure, no Django, no database."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from monitoring.alerts.rule import Span


class Kept(Protocol):
    """What is kept of a span; read-only, in microseconds since 1970."""

    @property
    def since_us(self) -> int: ...

    @property
    def resolved_us(self) -> int | None: ...


K = TypeVar("K", bound=Kept)


class Matched(NamedTuple, Generic[K]):
    """`same`: one that is kept, and what it is to be; `new`: to be kept; `gone`: they never were."""

    same: list[tuple[K, Span]]
    new: list[Span]
    gone: list[K]


def match(holds: Sequence[Span], kept: Sequence[K]) -> Matched[K]:
    """Both in the order of time. A kept one is the first span that it has a moment in common with.

    So a span that begins earlier, or ends later, than was thought stays the same one; one that falls into two
    stays the first of them; of two that grow together the first stays, and the second is gone.
    """
    same: list[tuple[K, Span]] = []
    new: list[Span] = []
    left = list(kept)
    for span in holds:
        found = next((one for one in left if _meet(span, one)), None)
        if found is None:
            new.append(span)
        else:
            left.remove(found)
            same.append((found, span))
    return Matched(same, new, left)


def _meet(span: Span, one: Kept) -> bool:
    ends_before = span.resolved_at is not None and span.resolved_at < one.since_us
    begins_after = one.resolved_us is not None and one.resolved_us < span.since
    return not ends_before and not begins_after
