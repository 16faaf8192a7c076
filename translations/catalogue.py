"""The catalogue: what is said in another language for each text that is marked."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po

from translations.marked import PROJECT, Text, text_of

FRENCH = PROJECT / "monitoring" / "locale" / "fr" / "LC_MESSAGES" / "django.po"
# Babel's own would say when and with what it was written, which changes without anything having changed.
HEAD = """\
# IoT Monitor
msgid ""
msgstr ""
"Project-Id-Version: IoT Monitor\\n"
"Language: fr\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=2; plural=(n > 1);\\n"

"""


class Difference(NamedTuple):
    """Between what is marked and what the catalogue says."""

    missing: list[Text]
    gone: dict[Text, Sequence[str]]


def empty() -> Catalog:
    """With the plurals of our head, which are Django's; Babel itself gives French a third, for millions."""
    return read_po(BytesIO(HEAD.encode()))


def read(file: Path = FRENCH) -> Catalog:
    if not file.exists():
        return empty()
    with file.open("rb") as stream:
        return read_po(stream)


def messages(catalogue: Catalog) -> dict[Text, Message]:
    return {text_of(message): message for message in catalogue if message.id}


def said(message: Message) -> tuple[str, ...]:
    """What stands there: one text, or one for each form of the plural."""
    return tuple(message.string) if isinstance(message.string, list | tuple) else (message.string or "",)


def difference(wanted: Mapping[Text, object], catalogue: Catalog) -> Difference:
    there = messages(catalogue)
    missing = [text for text in wanted if text not in there or not all(said(there[text]))]
    return Difference(missing, {text: said(there[text]) for text in there if text not in wanted})


def write(wanted: Mapping[Text, Sequence[str]], old: Catalog, file: Path = FRENCH) -> None:
    """What is marked, each with what `old` says of it; nothing else."""
    there = messages(old)
    new = empty()
    for text, places in wanted.items():
        new.add(
            (text.singular, text.plural) if text.plural else text.singular,
            there[text].string if text in there else ("", "") if text.plural else "",
            [(place, 0) for place in places],
            flags={"fuzzy"} if text in there and there[text].fuzzy else (),
            auto_comments=there[text].auto_comments if text in there else (),
            user_comments=there[text].user_comments if text in there else (),
            context=text.context or None,
        )
    body = BytesIO()
    write_po(body, new, width=110, omit_header=True, include_lineno=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(HEAD + body.getvalue().decode().lstrip("\n"), encoding="utf-8")
