"""Which kept span is which of those that hold: pure, no Django, no database."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from monitoring.alerts.rule import Span


class Kept(Protocol):
    """What is kept of a span."""

    @property
    def span(self) -> Span: ...


K = TypeVar("K", bound=Kept)


class Matched(NamedTuple, Generic[K]):
    """`same`: one that is kept, and what it is to be; `new`: to be kept; `gone`: they never were."""

    same: list[tuple[K, Span]]
    new: list[Span]
    gone: list[K]


def match(holds: Sequence[Span], kept: Sequence[K]) -> Matched[K]:
    """Both in the order of time, at most one of each lasts still. What lasts is what lasted; any other that
    is kept is the first span that it has a moment in common with.

    So a span that begins earlier, or ends later, than was thought stays the same one; one that falls into two
    stays the first of them; of two that grow together the first stays, and the second is gone. Whoever was
    told of what lasts hears no more of it, though its past be another.
    """
    same: list[tuple[K, Span]] = []
    new: list[Span] = []
    left = list(kept)
    lasts = next((one for one in left if one.span.resolved_at is None), None)
    if lasts is not None and holds and holds[-1].resolved_at is None:
        left.remove(lasts)
        same.append((lasts, holds[-1]))
        holds = holds[:-1]
    for span in holds:
        found = next((one for one in left if _meet(span, one.span)), None)
        if found is None:
            new.append(span)
        else:
            left.remove(found)
            same.append((found, span))
    return Matched(same, new, left)


def _meet(one: Span, other: Span) -> bool:
    """Not where one ends as the other begins: a span ends before the moment at which it is resolved."""
    return _begins_before_end(one, other) and _begins_before_end(other, one)


def _begins_before_end(one: Span, other: Span) -> bool:
    return other.resolved_at is None or one.since < other.resolved_at
