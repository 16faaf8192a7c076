from collections.abc import Iterator

import pytest

from tests.web.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """With sensors 1 to 3, and a measurement of the third."""
    folder = tmp_path_factory.mktemp("site")
    folder.chmod(0o755)
    site = Site(folder)
    try:
        site.manage("first_run")
        site.query(
            "INSERT INTO monitoring_measurement (sensor_id, created_at, received_at, value, unit)"
            " VALUES (3, now(), now(), 2.57, 'V')"
        )
        site.start()
        yield site
    finally:
        site.stop()
