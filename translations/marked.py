"""What is marked for translation: in our Python and our templates, and what other packages leave unsaid.

Read by Babel, since Django's makemessages wants gettext's programs, which are not everywhere.
"""

import ast
import gettext
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from importlib.util import find_spec
from io import BytesIO, StringIO
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from babel.messages.catalog import Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import read_mo
from django.apps import apps
from django.utils.translation import templatize

PROJECT = Path(__file__).parent.parent
OURS = ("monitoring", "config", "batches", "bridge", "process", "runner")
# Whose pages we show, with what of them: unfold comes without a catalogue.
OTHERS = {
    "unfold": ("*.py", "mixins/*.py", "templatetags/*.py", "contrib/filters/**/*", "templates/**/*"),
    "django_celery_beat": ("admin.py", "models.py", "templates/**/*"),
}
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
KEYWORDS = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
}


class Text(NamedTuple):
    """`plural` is empty where there is none."""

    singular: str
    plural: str = ""
    context: str = ""


def marked() -> dict[Text, list[str]]:
    """Each text, in the order of the files, with the files that it stands in."""
    found: dict[Text, list[str]] = {}
    for name in OURS:
        for file in sorted((PROJECT / name).rglob("*")):
            _gather(found, file, PROJECT, lambda text: True)
    said = _said_by_others("fr")
    for name, patterns in OTHERS.items():
        folder = _folder(name)
        for pattern in patterns:
            for file in sorted(folder.glob(pattern)):
                # Babel complains of f-strings; theirs are not ours to mend.
                with redirect_stderr(StringIO()):
                    _gather(found, file, folder.parent, lambda text: text not in said)
    # In a catalogue a text stands once: its plural serves where it is said without one too.
    with_plural = {(text.singular, text.context): text for text in found if text.plural}
    for text in [text for text in found if not text.plural]:
        if (text.singular, text.context) in with_plural:
            found[with_plural[text.singular, text.context]] += found.pop(text)
    return found


def in_file(file: Path) -> Iterator[Text]:
    """What is marked there, whether Python or a template; of anything else nothing."""
    if file.suffix == ".py":
        source = file.read_bytes()
        return chain(_in_python(source), _in_f_strings(source), _logged(source))
    if file.suffix in {".html", ".txt"} and "templates" in file.parts:
        # What it makes of a template are calls of gettext() between letters that stand for the rest, indented
        # as that was: to Python, each line begins a statement.
        lines = templatize(file.read_text(encoding="utf-8")).splitlines()
        return _in_python("\n".join(map(str.strip, lines)).encode())
    return iter(())


def _gather(found: dict[Text, list[str]], file: Path, below: Path, wanted: Callable[[Text], bool]) -> None:
    for text in in_file(file):
        # Translations themselves, and the names of files in a language, are none of it.
        if text.singular and wanted(text):
            places = found.setdefault(text, [])
            place = str(file.relative_to(below))
            if place not in places:
                places.append(place)


def _in_python(source: bytes) -> Iterator[Text]:
    for _, said, _, context in extract("python", BytesIO(source), KEYWORDS):
        singular, plural = (said[0], said[1]) if isinstance(said, tuple) else (said, "")
        yield Text(singular, plural, context or "")


def _in_f_strings(source: bytes) -> Iterator[Text]:
    """Before Python 3.12 an f-string is one word to Babel, which then sees no call in it."""
    if sys.version_info >= (3, 12):
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            for part in node.values:
                if isinstance(part, ast.FormattedValue):
                    yield from _in_python(ast.unparse(part.value).encode())


def _logged(source: bytes) -> Iterator[Text]:
    """Lines of the log, which process/log.py translates as they are written."""
    if b"logger." not in source:
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            logger, text = node.func.value, node.args[0]
            is_logged = isinstance(logger, ast.Name) and logger.id == "logger" and node.func.attr in LEVELS
            if is_logged and isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield Text(text.value)


def _said_by_others(language: str) -> set[Text]:
    """What the catalogues of Django and of the apps that are not ours say already."""
    folders = [_folder("django") / "conf", *(Path(app.path) for app in apps.get_app_configs())]
    said: set[Text] = set()
    for folder in folders:
        found = gettext.find("django", str(folder / "locale"), [language])
        if found is not None and not folder.is_relative_to(PROJECT / "monitoring"):
            with open(found, "rb") as file:
                said |= {text_of(message) for message in read_mo(file)}
    return said


def text_of(message: Message) -> Text:
    singular, plural = message.id if isinstance(message.id, list | tuple) else (message.id, "")
    return Text(singular, plural, message.context or "")


def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
