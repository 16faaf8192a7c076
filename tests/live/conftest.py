from collections.abc import Iterator

import pytest

from tests.journey.system import Device, System

# More streams than connections: they have a bound of their own.
CONNECTIONS, STREAMS = 8, 12


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """From the broker to the web process, with sensors 1 to 3."""
    system = System(
        tmp_path_factory.mktemp("system"),
        WEB_MAX_CONNECTIONS=str(CONNECTIONS),
        LIVE_MAX_STREAMS=str(STREAMS),
    )
    try:
        for name in ("web", "bridge", "worker"):
            system.start(name)
        yield system
    finally:
        system.stop()


@pytest.fixture
def device(system: System) -> Iterator[Device]:
    device = Device(system.broker.url)
    yield device
    device.close()
