from collections.abc import Iterator

import pytest

from tests.firmware.sketch import ask, board, build  # noqa: F401
from tests.journey.system import System


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One system for a module."""
    system = System(tmp_path_factory.mktemp("system"))
    try:
        for name in ("web", "bridge", "worker"):
            system.start(name)
        yield system
    finally:
        system.stop()
