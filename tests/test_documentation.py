"""What README.md, .env.example and docs/ say is held against the code: it cannot become untrue unseen."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from django.core.management import get_commands, load_command_class
from django.urls import Resolver404, resolve
from environs import Env

from bridge.lines import line as bridge_line
from monitoring.decoders import MEANINGS, Reading, decode
from monitoring.ingest.lines import line as ingest_line
from runner import settings as run_settings
from runner.welcome import EXAMPLE, welcome
from tests.parts import PARTS

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text()
FRENCH = (PROJECT / "README.fr.md").read_text()
PAGES = [
    *(PROJECT / name for name in ("README.md", "README.fr.md", "CHANGELOG.md")),
    *sorted((PROJECT / "docs").rglob("*.md")),
]
COMPOSE = [PROJECT / "docker-compose.yml", *sorted((PROJECT / "deploy").glob("*.yml"))]
CODE = sorted(
    path
    for path in (
        *PROJECT.glob("*.py"),
        *(
            path
            for folder in ("batches", "bridge", "config", "deploy", "monitoring", "process", "runner")
            for path in PROJECT.glob(f"{folder}/**/*.py")
        ),
    )
    if "migrations" not in path.parts
)

# --- variables -----------------------------------------------------------------------------------

# Read by the code, but not settings of the project's: others define them.
NOT_OURS = {
    "COMPOSE_FILE",
    "COMPOSE_PROJECT_NAME",
    "DJANGO_SETTINGS_MODULE",
    "DJANGO_SUPERUSER_PASSWORD",
    "HOME",
    "NO_COLOR",
    "PATH",
    "REDISCLI_AUTH",
    "TERM",
    "XDG_CACHE_HOME",
}
# Ours, and of no use in the file.
NOT_IN_THE_FILE = {
    "BROKER": "deploy/docker-compose.tls.yml sets it",
    "ENV_FILES": "decides whether the file is read",
    "FAILPOINTS": "makes a process die, in tests",
    "SERVICES_FROM": "which servers the tests start",
}
# `make run` opens what is closed elsewhere, and keeps to loopback what containers publish; the file says so.
DIFFERENT_IN_MAKE_RUN = {"API_PUBLIC_READ", "MQTT_LISTEN", "WEB_LISTEN"}
# Where a name is not written out, so that this test cannot see it: each was looked at. What they read is
# named by a literal elsewhere.
NAMED_ELSEWHERE = {
    "process/environment.py": "NAME_FILE of every variable",
    "deploy/credentials.py": "make: password, secret, setting",
    "deploy/healthcheck.py": "given: REDIS_URL, BRIDGE_NAME",
    "deploy/test/installation.py": "what every command may inherit: PATH and the like",
    "monitoring/management/commands/simulate.py": "_variable: MQTT_URL, MQTT_TOPICS",
    "runner/preflight.py": "URLS",
    "runner/settings.py": "load: DEFAULTS, SECRETS; the ports",
    "runner/services/base.py": "what every server may inherit: PATH and the like",
    "runner/supervisor.py": "URLS",
}

# Lists that are empty unless they are given.
_EMPTY_LISTS = {"CORS_ALLOWED_ORIGINS", "CSRF_TRUSTED_ORIGINS", "MQTT_STATUS_TOPICS", "TRUSTED_PROXIES"}

ENVIRONS = {"bool", "dj_db_url", "float", "int", "list", "one_of", "path", "str"}


class Read(NamedTuple):
    """A place where the code reads a variable. `default` is None where none is stated there."""

    name: str | None
    where: str
    kind: str
    default: Any = None


def value_of(node: ast.expr) -> Any:
    """A default as it is written: a literal, a little arithmetic, Path("…"), or another setting's default."""
    names = {"__builtins__": {}, "Path": Path, "RETENTION_DAYS": 730}
    return eval(ast.unparse(node), names)


def is_environ(node: ast.expr, where: str) -> bool:
    """`os.environ`, `environ`, `env`, `self.env`: what variables are read from; `self` where it is one."""
    text = ast.unparse(node)
    return text in ("os.environ", "environ", "env", "self.env") or (
        text == "self" and where == "process/environment.py"
    )


def reads(path: Path) -> Iterator[Read]:
    where = str(path.relative_to(PROJECT))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.getenv":
            yield Read(name_in(node.args[0]), where, "str")
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and is_environ(node.func.value, where)
        ):
            kind = node.func.attr
            if kind in ENVIRONS:
                default = next((k.value for k in node.keywords if k.arg == "default"), None)
                default = node.args[1] if len(node.args) > 1 else default
                name = name_in(node.args[0])
                # A name that is not written out has its default where it is.
                yield Read(name, where, kind, value_of(default) if default is not None and name else None)
            elif kind in ("get", "setdefault", "pop"):
                yield Read(name_in(node.args[0]), where, "str")
        elif isinstance(node, ast.Subscript) and is_environ(node.value, where):
            yield Read(name_in(node.slice), where, "str")


def name_in(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@cache
def all_reads() -> list[Read]:
    found = [read for path in CODE for read in reads(path)]
    found += [Read(name, "runner/settings.py", "str", value) for name, value in run_settings.DEFAULTS.items()]
    found += [Read(name, "runner/settings.py", "str") for name in run_settings.SECRETS]
    procfile = (PROJECT / "Procfile").read_text()
    found += [Read(name, "Procfile", "str") for name in re.findall(r"\$\{?(\w+)", procfile)]
    credentials = (PROJECT / "deploy/credentials.py").read_text()
    named = re.findall(r'(?:secret|password|setting)\((?:"[^"]+", )?"([A-Z_]+)"', credentials)
    found += [Read(name, "deploy/credentials.py", "str") for name in named]
    for file in COMPOSE:
        # ${NAME}, ${NAME:-default}; $$ is a dollar for the container's shell.
        for name, default in re.findall(r"(?<!\$)\$\{(\w+)(?::-([^}]*))?\}", file.read_text()):
            found.append(Read(name, file.name, "str", default or None))
    return found


def documented() -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in re.findall(r"^#([A-Z_]+)=(.*)$", (PROJECT / ".env.example").read_text(), re.MULTILINE):
        assert name not in found, f"{name} stands there twice"
        found[name] = value
    return found


def as_kind(text: str, kind: str) -> Any:
    if kind == "bool":
        return {"0": False, "1": True}[text]
    if kind == "list":
        return text.split(",") if text else []
    return {"int": int, "float": float, "path": Path}.get(kind, str)(text)


def test_the_example_names_every_variable_that_the_code_reads() -> None:
    names = {read.name for read in all_reads() if read.name and not read.name.startswith("PIP_")}
    assert len(names) > 20, "the reading of the code itself does not work any more"
    assert set(documented()) == names - NOT_OURS - set(NOT_IN_THE_FILE)


def test_what_is_left_out_of_the_example_is_still_read() -> None:
    assert {read.name for read in all_reads()} >= set(NOT_IN_THE_FILE)


def test_every_variable_is_read_by_a_name_that_can_be_found() -> None:
    unnamed = {read.where for read in all_reads() if read.name is None}
    assert unnamed <= set(NAMED_ELSEWHERE)


def test_no_variable_is_read_in_a_way_that_is_not_seen() -> None:
    """Whatever the object is called and whichever of environs' types is asked for."""
    types = {name for name in dir(Env) if not name.startswith("_")}
    seen = {read.name for read in all_reads()}
    for path in CODE:
        called = re.findall(r'\.(\w+)\(\s*"([A-Z][A-Z_]+)"', path.read_text())
        assert {name for method, name in called if method in types} <= seen, path


def test_the_example_gives_the_defaults() -> None:
    """One test for all: each process of pytest's that collects them would have to read all of the code."""
    stated = {
        f"{read.name} in {read.where}": (as_kind(documented()[str(read.name)], read.kind), read.default)
        for read in all_reads()
        if read.default is not None
        and (read.name not in DIFFERENT_IN_MAKE_RUN or read.where.startswith("runner/"))
    }
    assert len(stated) > 20
    assert {where: both for where, both in stated.items() if both[0] != both[1]} == {}


def test_a_variable_without_a_default_is_documented_as_empty() -> None:
    with_default = {read.name for read in all_reads() if read.default is not None}
    assert {name for name, value in documented().items() if not value} == (
        set(documented()) - with_default | _EMPTY_LISTS
    )


def test_the_example_changes_nothing() -> None:
    lines = (PROJECT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_readme_gives_the_same_defaults() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (?:`(.*?)`)? *\|", README, re.MULTILINE)
    assert len(rows) > 5
    assert [(name, value) for name, value in rows if documented()[name] != value] == []


def test_every_variable_that_is_mentioned_exists() -> None:
    known = set(documented()) | NOT_OURS | set(NOT_IN_THE_FILE) | {part.variable for part in PARTS}
    for page in PAGES:
        text = page.read_text()
        mentioned = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", text))
        mentioned |= {n for block in shell(text) for n in re.findall(r"\b([A-Z]+(?:_[A-Z]+)+)=", block)}
        # MQTT_CA_FILE is a variable; DATABASE_URL_FILE another way to give one.
        assert {name for name in mentioned - known if name.removesuffix("_FILE") not in known} == set(), page


# --- README's tables and examples ----------------------------------------------------------------


def test_readme_explains_every_reason_code() -> None:
    section = README.partition("### Reason codes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE)
    assert rows == [(code.value, meaning) for code, meaning in MEANINGS.items()]


def test_readme_shows_what_make_run_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVICES_FROM", raising=False)
    env = run_settings.load(tmp_path, {"HOME": "/"})
    env.data_dir.mkdir()
    (env.data_dir / "admin-password").write_text("your-own-pass-word\n")
    values = {**env.values, "MQTT_URL": f"mqtt://127.0.0.1:{env.mqtt_port}"}
    shown = re.search(r"<!-- welcome -->\n```text\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    assert shown[1].strip() == welcome(env, values).strip()


def test_every_payload_in_readme_is_a_good_one() -> None:
    payloads = re.findall(r"""-[md] '([{\[].*?[}\]])'""", README)
    payloads += [block for block in blocks("json", README) if "sensor_id" in block]
    assert len(payloads) >= 4
    assert EXAMPLE in payloads
    for payload in payloads:
        items = decode(payload.encode(), None)
        assert items, payload
        assert all(isinstance(item, Reading) for item in items), payload


@pytest.mark.django_db
def test_the_line_for_the_shell_works() -> None:
    (line,) = [block for block in blocks("python", README) if "monitoring.models" in block]
    exec(line, {})


# --- what is mentioned is there ------------------------------------------------------------------


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def shell(text: str) -> list[str]:
    """Code blocks of shell, and what stands in backticks."""
    fenced = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
    return blocks("sh", text) + re.findall(r"`([^`\n]+)`", fenced.sub("", text))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.exists(), link
        if parts.fragment:
            assert parts.fragment in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_files_that_are_mentioned_exist(page: Path) -> None:
    folders = {path.name for path in PROJECT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    for name in re.findall(r"`([\w.-]+(?:/[\w.-]+)*/?)`", page.read_text()):
        is_path = name.split("/")[0] in folders and "/" in name
        if is_path or (re.search(r"\.(py|md|toml|lua|svg|in|txt)$", name) and name != "main.py"):
            assert (PROJECT / name).exists() or (page.parent / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_commands_that_are_mentioned_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    commands = get_commands()
    for text in shell(page.read_text()):
        assert set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)\b", text)) <= targets
        assert set(re.findall(r"\bmanage\.py ([a-z]\w*)", text)) <= set(commands)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_routes_that_are_mentioned_exist(page: Path) -> None:
    routes = set(re.findall(r"(?<![\w/.-])/(?:api|admin|healthz|readyz)\b[\w/<>-]*", page.read_text()))
    routes |= set(re.findall(r"http://127\.0\.0\.1:8000(/[\w/-]*)", page.read_text()))
    if page.name == "README.md" and page.parent == PROJECT:
        assert len(routes) >= 8
    for route in routes:
        try:
            match = resolve(route.replace("<id>", "3"))
        except Resolver404:
            pytest.fail(f"{route} leads nowhere")
        # What catches all of /api/ that is none of its routes.
        assert match.func.__name__ != "unknown_path", route


# --- the French page -----------------------------------------------------------------------------


def test_each_readme_leads_to_the_other() -> None:
    assert "](README.fr.md)" in README.partition("\n## ")[0]
    assert "](README.md)" in FRENCH.partition("\n## ")[0]


def test_what_the_french_page_sends_is_taken() -> None:
    payloads = re.findall(r"""['`]({"sensor_id".*?})['`]""", FRENCH)
    assert payloads == [EXAMPLE] * len(payloads)
    assert len(payloads) >= 2


@pytest.mark.django_db
def test_the_french_pages_lines_for_the_shell_work() -> None:
    (block,) = blocks("python", FRENCH)
    exec(block, {})


def test_the_commands_of_the_french_page_take_what_it_gives_them() -> None:
    lines = [text for text in shell(FRENCH) if "manage.py" in text]
    said = [found for text in lines for found in re.findall(r"manage\.py (\w+)([^\n]*)", text)]
    assert {name for name, _ in said} > {"simulate", "api_token", "replay"}
    for name, arguments in said:
        if name not in ("shell", "changepassword"):
            command = load_command_class("monitoring", name)
            command.create_parser("manage.py", name).parse_args(shlex.split(arguments))


def test_the_log_says_what_the_french_page_says_that_it_does() -> None:
    said = re.findall(r"`((?:Message|Mesure|MQTT) [^`]+)`", FRENCH)
    example = '{"sensor_id": 3, …}'
    assert set(said) == {
        bridge_line("fr", "received", example),
        ingest_line("fr", "stored"),
        bridge_line("fr", "connected", 0),
    }
