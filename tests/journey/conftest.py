from collections.abc import Iterator

import pytest

from tests.journey.system import Device, System


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One system for a module."""
    system = System(tmp_path_factory.mktemp("system"))
    try:
        for name in ("web", "bridge", "worker", "beat"):
            system.start(name)
        yield system
    finally:
        system.stop()


@pytest.fixture
def device(system: System) -> Iterator[Device]:
    device = Device(system.broker.url)
    yield device
    device.close()
