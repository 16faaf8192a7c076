"""What is marked for translation has its French, and what people read is marked."""

import ast
import gettext
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets, label_for_field
from django.contrib.auth.models import User
from django.db import models
from django.http import HttpRequest
from django.template.base import Lexer, TokenType
from django.test import RequestFactory
from django.utils.functional import Promise
from django.utils.translation import trans_real

from monitoring import details
from monitoring.upkeep.schedule import JOBS
from process import wrong_settings
from runner import words
from translations import catalogue
from translations.marked import OURS, PROJECT, Text, in_file, marked

MAKE = "run make translations, then fill in monitoring/locale/fr/LC_MESSAGES/django.po"
FRENCH = catalogue.read()
SAID = catalogue.messages(FRENCH)


def test_each_text_that_is_marked_has_its_french_and_no_other_text_has(
    capfd: pytest.CaptureFixture[str],
) -> None:
    wanted = marked()
    found = catalogue.difference(wanted, FRENCH)
    said = [f"no French for {text.singular!r} in {', '.join(wanted[text])}" for text in found.missing]
    said += [f"nobody says {text.singular!r} any more" for text in found.gone]
    # As the message, which pytest shows whole.
    assert not said, "\n".join([MAKE, *said])
    # Babel's word for f"…{name}…", which nobody can look up.
    assert "Skipping f-string" not in capfd.readouterr().err


def test_nothing_is_uncertain_or_left_over() -> None:
    assert [text.singular for text, message in SAID.items() if message.fuzzy] == []
    assert list(FRENCH.obsolete) == []
    head = catalogue.FRENCH.read_text().partition("msgid")[0]
    assert head == "# IoT Monitor\n"


def placeholders(text: str) -> Counter[str]:
    """%(name)s, %d and {name}, each as often as it stands there."""
    found = re.findall(r"%(?:\(\w+\))?[#0 +-]?(?:\d+)?(?:\.\d+)?[a-zA-Z%]", text)
    found += re.findall(r"\{\w*\}", text)
    return Counter(found)


def around(text: str) -> str:
    """The white space before and after it: "about " and a number make a text together."""
    return text[: len(text) - len(text.lstrip())] + "…" + text[len(text.rstrip()) :]


def test_what_is_filled_in_is_the_same_in_french() -> None:
    for text, message in SAID.items():
        for english, french in zip([text.singular, text.plural], catalogue.said(message), strict=False):
            assert placeholders(french) == placeholders(english), french
            assert around(french) == around(english), french


def test_french_is_set_as_french_is() -> None:
    """A no-break space before ; ! ? : and within « », and the apostrophe that is none of a typewriter's."""
    for message in SAID.values():
        for french in catalogue.said(message):
            plain = re.sub(r"<[^>]*>|`[^`]*`|mqtt:|CSRF_\w+", "", french)
            assert not re.search(r"[^\u202f][;!?]|[^\xa0\d]:(?!\d|//)|«[^\xa0]|[^\xa0]»|'|\.\.\.", plain), (
                french
            )


def test_what_is_compiled_is_what_is_written() -> None:
    with open(catalogue.FRENCH.with_suffix(".mo"), "rb") as file:
        compiled = gettext.GNUTranslations(file)
    for text, message in SAID.items():
        for count, french in zip((1, 2), catalogue.said(message), strict=False):
            found = (
                compiled.ngettext(text.singular, text.plural, count)
                if text.plural
                else compiled.pgettext(text.context, text.singular)
                if text.context
                else compiled.gettext(text.singular)
            )
            assert found == french, "make dev compiles it"


def test_no_other_catalogue_says_it_otherwise() -> None:
    """Ours is heard before all others (LOCALE_PATHS)."""
    merged: Any = trans_real.translation("fr")
    for text, message in SAID.items():
        if text.context:
            assert merged.pgettext(text.context, text.singular) == message.string
        elif not text.plural:
            assert merged.gettext(text.singular) == message.string


# --- the extractor -------------------------------------------------------------------------------


def test_what_is_marked_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    python, template = tmp_path / "a.py", folder / "a.html"
    python.write_text(
        "def f(n):\n"
        "    a = _('one')\n"
        "    b = gettext_lazy('two' ' words'), ngettext('%d row', '%d rows', n) % n\n"
        "    logger.warning('logged: %s', 'no')\n"
        "    return pgettext('a door', 'open'), unmarked('no'), f\"{a}: {gettext('within')}, {a:>{n}}\"\n"
    )
    template.write_text(
        '<div>\n      {% translate "three" %}\n  {% if x %}it\'s {{ y }}{% endif %}\n'
        "    {% blocktranslate count n=n %}{{ n }} door{% plural %}{{ n }} doors{% endblocktranslate %}\n"
    )
    assert list(in_file(python)) == [
        Text("one"),
        Text("two words"),
        Text("%d row", "%d rows"),
        Text("open", context="a door"),
        Text("within"),
        Text("logged: %s"),
    ]
    assert list(in_file(template)) == [Text("three"), Text("%(n)s door", "%(n)s doors")]
    assert list(in_file(tmp_path)) == []


def test_make_translations_keeps_what_was_translated_and_leaves_out_what_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "fr" / "django.po"
    one, two, rows = Text("one"), Text("two"), Text("%d row", "%d rows")
    catalogue.write({one: ["a.py"], rows: ["a.py"]}, catalogue.read(file), file)
    assert catalogue.difference([one, rows], catalogue.read(file)).missing == [one, rows]
    text = file.read_text().replace('msgid "one"\nmsgstr ""', '#, fuzzy\nmsgid "one"\nmsgstr "un"')
    file.write_text(text.replace('msgstr[0] ""', 'msgstr[0] "%d ligne"'))
    assert catalogue.difference([one, rows], catalogue.read(file)).missing == [rows]
    catalogue.write({one: ["b.py"], two: ["b.py"]}, catalogue.read(file), file)
    found = catalogue.difference([two], catalogue.read(file))
    assert found == ([two], {one: ("un",)})
    assert file.read_text().startswith(catalogue.HEAD + '#: b.py\n#, fuzzy\nmsgid "one"\nmsgstr "un"\n')


# --- what people read is marked ------------------------------------------------------------------

ADMINS = [
    (model, page) for model, page in admin.site._registry.items() if model._meta.app_label == "monitoring"
]
# The same in any language.
NAMES = {"ID", "IoT Monitor", "Authorization: Token …", "sensor_id"}


@pytest.fixture
def request_of_a_superuser() -> HttpRequest:
    request = RequestFactory().get("/")
    request.user = User(username="admin", is_superuser=True, is_staff=True)
    return request


def unmarked(*titles: Any) -> list[str]:
    return [title for title in titles if title and not isinstance(title, Promise) and title not in NAMES]


@pytest.mark.parametrize(("model", "page"), ADMINS, ids=[model._meta.label for model, _ in ADMINS])
def test_titles_of_the_admin_are_marked(
    model: type[models.Model], page: "admin.ModelAdmin[Any]", request_of_a_superuser: HttpRequest
) -> None:
    """Columns, fields and their help, groups of fields, filters, actions: as far as they are ours."""
    request = request_of_a_superuser
    for obj in (None, model()):
        fieldsets = page.get_fieldsets(request, obj)
        titles = [title for title, _ in fieldsets]
        may_fill_in = page.has_change_permission(request) if obj else page.has_add_permission(request)
        fields = page.get_form(request, obj).base_fields if may_fill_in else {}
        titles += [field.label for field in fields.values()] + [field.help_text for field in fields.values()]
        names = {*page.get_list_display(request), *flatten_fieldsets(fieldsets)} - {"__str__", *fields}
        for name in names:
            if (method := getattr(page, name, None)) is not None:
                titles.append(getattr(method, "short_description", name))
            else:
                titles.append(label_for_field(name, model, page))
        for base in page.list_filter:
            name = base[0] if isinstance(base, tuple) else base
            titles.append(label_for_field(name, model, page) if isinstance(name, str) else name.title)
        titles += [action[2] for action in page.get_actions(request).values()]
        titles.append(page.search_help_text)
        assert unmarked(*titles) == []


@pytest.mark.parametrize(
    "model", list(apps.get_app_config("monitoring").get_models()), ids=lambda m: m._meta.label
)
def test_names_of_models_and_fields_are_marked(model: type[models.Model]) -> None:
    assert unmarked(model._meta.verbose_name, model._meta.verbose_name_plural) == []
    shown = [field for field in model._meta.get_fields() if isinstance(field, models.Field)]
    assert unmarked(*(field.help_text for field in shown)) == []


def test_names_of_scheduled_jobs_are_marked() -> None:
    assert [job.name for job in JOBS if Text(job.name) not in SAID] == []


TEMPLATES = [file for name in OURS for file in sorted((PROJECT / name).rglob("*.html"))]


def unmarked_in_template(source: str) -> list[str]:
    """Words that stand there as they are: between tags, or in an attribute that is read out or shown."""
    words, within = [], ""
    for token in Lexer(source).tokenize():
        if token.token_type == TokenType.BLOCK:
            name = token.contents.split()[0]
            if name in {"blocktranslate", "blocktrans", "comment"}:
                within = "end" + name
            elif name == within:
                within = ""
        elif token.token_type == TokenType.TEXT and not within:
            words.append(token.contents)
        if token.token_type != TokenType.TEXT:
            words.append("\0")
    html = re.sub(r"(?s)<(style|script)\b.*?</\1>|<!--.*?-->", "", "".join(words))
    # An icon is the name of a glyph in a font.
    html = re.sub(r"(?s)<span[^>]*\bmaterial-symbols-.*?</span>", "", html)
    spoken = re.findall(r'\b(?:title|alt|placeholder|aria-label)="([^"]*)"', html)
    texts = [*re.sub(r"(?s)<[^>]*>", "\1", html).replace("\0", "\1").split("\1"), *spoken]
    found = (" ".join(text.strip(" \n|:·").split()) for text in texts)
    return [text for text in found if re.search(r"[^\W\d_]{2}", text) and text not in NAMES]


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_words_in_templates_are_marked(file: Path) -> None:
    assert unmarked_in_template(file.read_text()) == []


def test_words_that_are_not_marked_are_found() -> None:
    source = """<style>p { color: red }</style><p class="a {% if b %}bold{% endif %}" title="A tip">Hello
    {{ name }}, {% translate "you" %}: {% blocktranslate %}come in{% endblocktranslate %} <b>There</b></p>"""
    assert unmarked_in_template(source) == ["Hello", "There", "A tip"]


# What somebody reads of it: the API's answers, what commands say, and forms.
RAISED = {
    *(
        "APIException",
        "AuthenticationFailed",
        "AwayError",
        "BadBodyError",
        "ConflictError",
        "EncodedBodyError",
    ),
    *("NotFound", "ParseError", "PermissionDenied", "Throttled", "TooLargeError", "UnprocessableError"),
    *("UnsupportedMediaType", "ValidationError", "ArgumentTypeError", "CommandError", "FileError"),
    *("ResumeError", "TooManyPartitionsError", "PartitionLeavingError", "StoreFullError"),
    *("Problem", "ServiceError", "SettingsError", "TlsFileError"),
}
# And what is written: an answer, a line, a message above a page of the admin, Django's checks.
WRITTEN = {
    *("HttpResponse", "JsonResponse", "Response"),
    *("line", "_line", "_print", "_say", "say", "write", "_refuse"),
    *("error", "info", "success", "warning", "Error", "Warning"),
    *("add", "add_argument", "add_error", "column", "short_description"),
    *("manage", "problem", "raise_for_log", "step", "wrong"),
}
MARKS = {
    *("_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy"),
    # What recognises and translates by itself, or is a log's line, which the extractor finds.
    *("line", "said", "say", "translated", "translate"),
}
# What is given a name first, and then answered or raised.
NAMED = {"detail", "default_detail", "help", "message", "problem", "text", "why"}
# The schema's descriptions are in English (monitoring/api/schema.py).
NOT_READ = {"content_type", "help_text"}
FOLDERS = (
    *("admin", "api", "dashboard", "live", "management", "simulator", "transfer"),
    *("../batches", "../bridge", "../process", "../runner"),
)
MODULES = ("monitoring/checks.py", "monitoring/throttle.py", "config/body_limit.py", "config/http_bounds.py")
# Sentences that are recognised by their form, and translated where they are shown.
FORMS = {*details._FORMS, *words._FORMS.forms, *wrong_settings._FORMS.forms}
# The options of `python -m runner`, which make gives; and what is said before there is a catalogue.
NOT_TRANSLATED = {"runner/__main__.py", "runner/bootstrap.py"}
# What a file says that only programs look at.
NOT_SAID = {"the user and the database iot are made\n"}


def is_prose(text: str) -> bool:
    """Two words, or one that ends a sentence."""
    return bool(re.search(r"[^\W\d_]{2,}[,;:]? [^\W\d_]{2,}|^[^\W\d_]{3,}\.$", text)) and "<" not in text


def unmarked_in_python(source: str) -> list[str]:
    """Sentences that stand as they are where somebody will read them."""
    found: list[str] = []

    def called(node: ast.Call) -> str:
        return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")

    def gather(node: ast.AST) -> None:
        """The literals in it that nobody has marked."""
        if isinstance(node, ast.Call) and called(node) in MARKS:
            return
        if isinstance(node, ast.keyword) and node.arg in NOT_READ:
            return
        texts = node.values if isinstance(node, ast.JoinedStr) else [node]
        for text in texts:
            if isinstance(text, ast.Constant) and isinstance(text.value, str) and is_prose(text.value):
                found.append(text.value)
        if not isinstance(node, ast.Constant):
            for child in ast.iter_child_nodes(node):
                gather(child)

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and called(node.exc) in RAISED:
            gather(node.exc)
        elif isinstance(node, ast.Call) and called(node) in WRITTEN:
            on = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            # What is logged the extractor finds; line("key") is from a table in both languages.
            is_found = on == "logger" or (not on and called(node) in MARKS)
            for argument in [] if is_found else [*node.args, *node.keywords]:
                gather(argument)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
            if names & NAMED:
                gather(node.value)
    return [text for text in dict.fromkeys(found) if not any(text in form for form in FORMS | NOT_SAID)]


def files_that_speak() -> list[Path]:
    folders = [(PROJECT / "monitoring" / name).resolve() for name in FOLDERS]
    return [file for folder in folders for file in sorted(folder.rglob("*.py"))] + [
        PROJECT / name for name in MODULES
    ]


def test_what_is_said_in_python_is_marked() -> None:
    unmarked = {
        str(file.relative_to(PROJECT)): texts
        for file in files_that_speak()
        if str(file.relative_to(PROJECT)) not in NOT_TRANSLATED
        and (texts := unmarked_in_python(file.read_text()))
    }
    assert unmarked == {}


def test_what_is_said_in_python_and_not_marked_is_found() -> None:
    source = """
help = "Does this and that."
def f(self, error, text):
    raise ValidationError({"all": [f"Say which ({error}) it is."]})
    raise CommandError(gettext("marked %s") % "word")
    raise KeyError("for a programmer")
    self.stdout.write("so many rows" if error else gettext("marked"))
    logger.warning("a log line is found by the extractor")
    parser.add_argument("--all", help="all of them")
    return Response({"detail": "It is done.", "code": "no_prose"})
"""
    assert set(unmarked_in_python(source)) == {
        *("Does this and that.", "Say which (", "so many rows", "all of them", "It is done."),
        ") it is.",
    }


def test_a_command_speaks_the_language_of_the_installation() -> None:
    environ = {
        "PATH": os.defpath,
        "LANGUAGE_CODE": "fr",
        "ENV_FILES": "0",
        "SECRET_KEY": "for-this-test-alone",
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    argv = [sys.executable, "manage.py", "replay"]
    done = subprocess.run(argv, cwd=PROJECT, env=environ, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("CommandError: dire lesquels\xa0: --code"), done.stderr
    helped = subprocess.run(
        [*argv, "--help"], cwd=PROJECT, env=environ, capture_output=True, text=True, check=True
    )
    assert "Rejoue les messages rejetés" in helped.stdout
    assert "tous ceux qui attendent" in helped.stdout
