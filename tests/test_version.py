"""The version stands in one place, and is seen where a person or a program asks for it."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest
from django.test import Client

from monitoring import __version__

PROJECT = Path(__file__).parents[1]


def test_pyproject_reads_it_where_it_stands() -> None:
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    assert "version" not in pyproject["project"]
    assert pyproject["project"]["dynamic"] == ["version"]
    module, _, name = pyproject["tool"]["setuptools"]["dynamic"]["version"]["attr"].rpartition(".")
    assert getattr(importlib.import_module(module), name) == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


@pytest.mark.django_db
def test_readyz_and_the_admin_show_it(admin_client: Client) -> None:
    assert Client().get("/readyz").json()["version"] == __version__
    assert re.search(rf">\s*{re.escape(__version__)}\s*<", admin_client.get("/admin/").content.decode())


def test_there_are_notes_on_how_to_come_to_it() -> None:
    minor = __version__.rpartition(".")[0]
    headings = re.findall(
        r"^## From (\S+) to (\S+)$", (PROJECT / "docs/upgrading.md").read_text(), re.MULTILINE
    )
    assert headings[0][1] == minor
