"""The topics that the bridge subscribes to, and what is to be told from a topic.

Of two filters that one message matches, the broker may send it twice (MQTT 5, section 3.3.4). With `ts`, the
second is a duplicate. Without, nothing tells it from a second reading.

Beside its readings a board says `online`, and its last will `offline`, on a topic whose last level is its
name: iot/status/esp32-1. Where boards have a topic of their own for readings, the level before the last is
their name: iot/esp32-1/measurements.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from marshmallow import ValidationError


class Topics(NamedTuple):
    """What to subscribe to. `covered`: what was left out, each with the filter that covers it.

    `overlapping`: pairs that have topics in common, of which neither covers the other.
    """

    filters: tuple[str, ...]
    covered: tuple[tuple[str, str], ...]
    overlapping: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, given: Sequence[str]) -> "Topics":
        kept: list[str] = []
        covered: dict[str, str] = {}
        for one in dict.fromkeys(given):
            if wider := next((other for other in kept if covers(other, one)), None):
                covered[one] = wider
                continue
            narrower = [other for other in kept if covers(one, other)]
            covered |= dict.fromkeys(narrower, one)
            kept = [other for other in kept if other not in narrower] + [one]
        pairs = tuple(pair for pair in combinations(kept, 2) if overlap(*pair))
        return cls(tuple(kept), tuple(covered.items()), pairs)


def check(filters: Iterable[str]) -> None:
    """MQTT 5, section 4.7: `+` is a whole level, `#` a whole level and the last. Raises ValidationError."""
    filters = list(filters)
    if not filters:
        raise ValidationError("names no topic")
    for one in filters:
        levels = one.split("/")
        if not one or "\0" in one or len(one.encode()) > 65535:
            raise ValidationError(
                "an MQTT topic filter is not empty, holds no NUL and is at most 65,535 bytes"
            )
        if levels[0] == "$share" and (len(levels) < 3 or not levels[1] or not "/".join(levels[2:])):
            raise ValidationError(f"{one!r} is not $share/group/filter")
        for place, level in enumerate(levels):
            if ("#" in level and (level != "#" or place != len(levels) - 1)) or (
                "+" in level and level != "+"
            ):
                raise ValidationError(f"{one!r} is not an MQTT topic filter")


OFF = "off"
_READINGS, _STATUS = "measurements", "status"


def check_status(filters: Iterable[str]) -> None:
    """As `check`, and the last level names a board; `off` alone, or none, will do. Raises ValidationError."""
    filters = list(filters)
    if not filters or filters == [OFF]:
        return
    check(filters)
    for one in filters:
        if one.endswith("#") or "/" not in one:
            raise ValidationError(f"{one!r} does not end in a level that names a board, such as iot/status/+")


def status_filters(given: Sequence[str], topics: Iterable[str]) -> tuple[str, ...]:
    """What to subscribe to for the status of boards: what is `given`, nothing where that is `off`.

    Where nothing is given, beside the `topics` of readings: iot/measurements and iot/+/measurements make
    iot/status/+. On a broker that strangers use too, a fixed default would take in theirs.
    """
    if list(given) == [OFF]:
        return ()
    if not given:
        given = [one for topic in topics if (one := _beside(_parts(topic)[1]))]
    return Topics.of(given).filters


def _beside(levels: Sequence[str]) -> str:
    *before, last = levels
    if before and before[-1] == "+":
        before.pop()
    if last != _READINGS or not before or "+" in before:
        return ""
    return "/".join([*before, _STATUS, "+"])


def board_of(topic: str) -> str:
    """The board whose readings come on this topic; '' where it does not say."""
    levels = topic.split("/")
    return levels[-2] if len(levels) > 2 and levels[-1] == _READINGS else ""


def covers(wide: str, narrow: str) -> bool:
    """Whether all that `narrow` brings is brought by `wide` too.

    A group's subscription ($share) brings only its part, so it covers none but of its own group.
    """
    wide_group, wide_levels = _parts(wide)
    group, levels = _parts(narrow)
    return wide_group in ("", group) and _match(wide_levels, levels, both_ways=False)


def overlap(one: str, other: str) -> bool:
    """Whether there is a topic that both match, in whatever groups."""
    return _match(_parts(one)[1], _parts(other)[1], both_ways=True)


def _parts(topic_filter: str) -> tuple[str, list[str]]:
    """The group of a shared subscription, else '', and the levels of what it matches."""
    group = ""
    if topic_filter.startswith("$share/"):
        _, group, topic_filter = topic_filter.split("/", 2)
    # Two ways to write it: no topic is shorter than a level.
    return group, ["#"] if topic_filter == "+/#" else topic_filter.split("/")


def _match(one: list[str], other: list[str], *, both_ways: bool) -> bool:
    """Whether `one` matches all that `other` does; `both_ways`: whether anything matches both."""
    if any(a in ("+", "#") and b.startswith("$") for a, b in ((one[0], other[0]), (other[0], one[0]))):
        return False  # a wildcard at the first level matches no topic of the broker's own
    for place, level in enumerate(one):
        if level == "#" or (both_ways and other[place : place + 1] == ["#"]):
            return True
        if place >= len(other):
            return False
        same = level == other[place] or (level == "+" and other[place] != "#")
        if not same and not (both_ways and other[place] == "+"):
            return False
    rest = other[len(one) :]
    return not rest or (both_ways and rest == ["#"])
