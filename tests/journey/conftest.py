from collections.abc import Iterator

import pytest

from tests.journey.system import Device, System


@pytest.fixture(scope="package")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One for all journeys: half a dozen processes, ten seconds of work to start."""
    system = System(tmp_path_factory.mktemp("system"))
    try:
        for name in ("web", "bridge", "worker", "upkeep", "beat"):
            system.start(name)
        yield system
    finally:
        system.stop()


@pytest.fixture
def device(system: System) -> Iterator[Device]:
    device = Device(system.broker.url)
    yield device
    device.close()
