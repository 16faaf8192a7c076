"""Which kept span is which of those that hold."""

from dataclasses import dataclass

import pytest

from monitoring.alerts.match import Matched, match
from monitoring.alerts.rule import Span


@dataclass(frozen=True)
class Kept:
    name: str
    span: Span


def span(since: int, end: int | None = None) -> Span:
    return Span(since, since, end)


def matched(holds: str, kept: str) -> tuple[dict[str, str], str, str]:
    """Each character a moment, a letter a span, a capital one at its last moment: it lasts still.

    Returns kept → what it is now, what is new, what is gone.
    """

    def read(text: str) -> list[Kept]:
        found = []
        for name in sorted({letter.lower() for letter in text if letter != "."}):
            places = [place for place, letter in enumerate(text) if letter.lower() == name]
            lasts = text[places[-1]].isupper()
            found.append(Kept(name, span(places[0], None if lasts else places[-1] + 1)))
        return sorted(found, key=lambda one: one.span.since)

    spans = {one.span: one.name for one in read(holds)}
    done: Matched[Kept] = match(list(spans), read(kept))
    return (
        {one.name: spans[now] for one, now in done.same},
        "".join(spans[one] for one in done.new),
        "".join(one.name for one in done.gone),
    )


@pytest.mark.parametrize(
    ("holds", "kept", "expected"),
    [
        ("..aa..bb", "..pp..qq", ({"p": "a", "q": "b"}, "", "")),
        ("........", "..pp....", ({}, "", "p")),
        ("..aa....", "........", ({}, "a", "")),
        # Earlier, later, shorter: the same one.
        ("aaaa....", "..pp....", ({"p": "a"}, "", "")),
        ("..aaaa..", "..pp....", ({"p": "a"}, "", "")),
        ("..aA", "..pP", ({"p": "a"}, "", "")),
        ("..aa..", "..pP..", ({"p": "a"}, "", "")),
        ("..aA", "..p.", ({"p": "a"}, "", "")),
        # In two: the first of them.
        ("aa..bb", "pppppp", ({"p": "a"}, "b", "")),
        # Two grow together: the first stays.
        ("aaaaaaaa", "pp....qq", ({"p": "a"}, "", "q")),
        # Where one ends as the next begins, they have no moment in common.
        ("aabb", "..qq", ({"q": "b"}, "a", "")),
        ("aabb", "pp..", ({"p": "a"}, "b", "")),
        ("aabb", "ppqq", ({"p": "a", "q": "b"}, "", "")),
        # What lasts is what lasted, though its past be another.
        ("aaaaaaaA", "pp....qQ", ({"q": "a"}, "", "p")),
        ("aa....bB", "pppppppP", ({"p": "b"}, "a", "")),
        ("aa....bb", "pppppppP", ({"p": "a"}, "b", "")),
    ],
)
def test_match(holds: str, kept: str, expected: tuple[dict[str, str], str, str]) -> None:
    assert matched(holds, kept) == expected
