"""Which tests go to one process of pytest-xdist's."""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

PROJECT = Path(__file__).parents[1]


class Distribution(LoadScopeScheduling):
    """A file or a folder goes as a whole where its tests share what is dear to make; all others one by one.

    `--dist loadgroup` with its marks is meant to do that; with pytest 9.2 it groups nothing, and says nothing
    (pytest-xdist's issue 1386). The larger come first, so that none is left for the end.
    """

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid.partition("::")[0]) or nodeid


@cache
def unit(file: str) -> str | None:
    """The folder or the file for which there is a fixture that lives longer than a test; None without one."""
    path = PROJECT / file
    beside = path.with_name("conftest.py")
    scopes = {
        scope
        for text in (one.read_text() for one in (path, beside) if one.exists())
        for scope in ("package", "module", "session")
        if f'scope="{scope}"' in text
    }
    if "package" in scopes:
        return str(Path(file).parent)
    return file if scopes else None
