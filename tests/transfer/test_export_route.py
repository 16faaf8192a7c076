"""sensors/<id>/measurements/export/: what a browser gets, and what stays behind when it goes away."""

import asyncio
import contextlib
import csv
import io
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import AsyncClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from monitoring.api import export
from monitoring.models import Measurement, Sensor
from monitoring.transfer.formats import Format
from monitoring.transfer.lines_in import Line, Reader, Row
from monitoring.transfer.rows_out import Selection, chunks
from tests.examples import examples
from tests.journey.system import wait_for
from tests.runner.running import free_port

ROUTE = "/api/monitoring/sensors/3/measurements/export/"
PROJECT = Path(__file__).parents[2]
COMMITTED = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def public(settings: Any) -> None:
    settings.API_PUBLIC_READ = True


@pytest.fixture
def measure(noon: datetime) -> Callable[..., None]:
    """measure(1.5, 2): rows of sensor 3 with these values, a second apart."""

    def measure(*values: float, unit: str = "V") -> None:
        Measurement.objects.bulk_create(
            Measurement(
                sensor_id=3, created_at=at, received_at=at + timedelta(seconds=1), value=value, unit=unit
            )
            for place, value in enumerate(values)
            for at in [noon + timedelta(seconds=place)]
        )

    return measure


@pytest.mark.django_db
def test_it_works(sensors: dict[int, Sensor], noon: datetime, measure: Callable[..., None]) -> None:
    measure(2.57, 1e-5)
    span = {"from": f"{noon:%Y-%m-%d}T00:00:00Z", "to": f"{noon + timedelta(days=1):%Y-%m-%d}T00:00:00Z"}
    answer = APIClient().get(ROUTE, span)
    day, minute = f"{noon:%Y-%m-%d}", f"{noon:%Y-%m-%dT%H:%M}"
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert answer["X-Accel-Buffering"] == "no"
    name = f"sensor-3-{day}-{noon + timedelta(days=1):%Y-%m-%d}.csv"
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
    assert b"".join(answer).decode().splitlines() == [
        "sensor,created_at,received_at,value,unit",
        f"3,{minute}:00Z,{minute}:01Z,2.57,V",
        f"3,{minute}:01Z,{minute}:02Z,1e-05,V",
    ]

    answer = APIClient().get(ROUTE, {"format": "ndjson", "from": noon.timestamp() + 1})
    assert answer["Content-Type"] == "application/x-ndjson"
    assert f'filename="sensor-3-from-{day}.ndjson"' in answer["Content-Disposition"]
    assert [json.loads(line) for line in b"".join(answer).splitlines()] == [
        {
            "sensor": 3,
            "created_at": f"{minute}:01Z",
            "received_at": f"{minute}:02Z",
            "value": 1e-05,
            "unit": "V",
        }
    ]


@pytest.mark.django_db
def test_it_answers_before_the_stream_what_cannot_be(sensors: dict[int, Sensor], settings: Any) -> None:
    client = APIClient()
    assert client.get(ROUTE, headers={"Accept": "text/csv"}).status_code == 200
    assert client.get(ROUTE.replace("3", "4")).status_code == 404
    assert client.get(ROUTE.replace("3", "9" * 30)).status_code == 404
    for query in ("format=xml", "from=yesterday", "from=2&to=1", "limit=3", "from=1&from=2"):
        assert client.get(f"{ROUTE}?{query}").status_code == 400, query
    assert client.post(ROUTE).status_code in (401, 403, 405)
    head = client.head(ROUTE)
    assert "attachment" in head["Content-Disposition"]
    assert "Content-Length" not in head
    settings.API_PUBLIC_READ = False
    assert client.get(ROUTE).status_code == 401


@pytest.mark.django_db
def test_a_chunk_begins_behind_the_one_before(
    sensors: dict[int, Sensor], noon: datetime, measure: Callable[..., None]
) -> None:
    measure(*range(7))
    found = list(chunks(Selection(3), Format.NDJSON, rows=3))
    assert [chunk.rows for chunk in found] == [3, 3, 1]
    values = [json.loads(line)["value"] for chunk in found for line in chunk.text.splitlines()]
    assert values == list(range(7))
    assert list(chunks(Selection(3), Format.CSV, after=found[-1].last)) == []
    assert len(list(chunks(Selection(3, noon, noon + timedelta(seconds=2)), Format.CSV, rows=2))) == 1


# The row is made through the ORM, whose literal -0.0 is PostgreSQL's numeric 0: the sign is lost before us.
numbers = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)
units = st.one_of(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30),
    st.from_regex(r"'{0,3}[=+@-][^\x00-\x1f\x7f-\x9f]{0,5}", fullmatch=True).filter(str.isprintable),
)


@pytest.mark.django_db
@hypothesis_settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(value=numbers, unit=units, form=st.sampled_from(Format))
def test_value_and_unit_come_back_as_they_were(
    sensors: dict[int, Sensor],
    value: float,
    unit: str,
    form: Format,
    noon: datetime,
    measure: Callable[..., None],
) -> None:
    Measurement.objects.filter(sensor_id=3).delete()
    measure(value, unit=unit)
    (chunk,) = chunks(Selection(3), form)
    row = Reader("", form.header, form).read(Line(2, 0, chunk.text[:-1], True))
    assert isinstance(row, Row), row
    assert (repr(row.value), row.unit, row.created_at) == (repr(value), unit, noon)
    if form is Format.CSV:
        (fields,) = csv.reader(io.StringIO(chunk.text.decode()))
        assert not fields[4].startswith(("=", "+", "-", "@"))


async def settled(condition: Callable[[], bool]) -> bool:
    for _ in range(3000):
        if condition():
            return True
        await asyncio.sleep(0.01)
    return False


def connections() -> int:
    """Of others to this database; by the test's own connection."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        count: int = cursor.fetchone()[0]
        return count


async def stream(client: AsyncClient) -> tuple[Any, AsyncIterator[bytes]]:
    answer = await client.get(ROUTE)
    return answer, aiter(answer.streaming_content)


def run(journey: Callable[[], Coroutine[Any, Any, None]], monkeypatch: pytest.MonkeyPatch) -> None:
    async def ending() -> None:
        await journey()
        # The view's own thread; outside of tests the end of a request does it.
        await sync_to_async(lambda: connection.close())()

    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # connections() is the test's own look
    asyncio.run(ending())


@COMMITTED
def test_a_client_that_goes_away_leaves_no_connection(
    sensors: dict[int, Sensor], monkeypatch: pytest.MonkeyPatch, measure: Callable[..., None]
) -> None:
    measure(*range(40))
    monkeypatch.setattr("monitoring.api.export.chunks", lambda *args: chunks(*args, rows=10))

    async def journey() -> None:
        answer, text = await stream(AsyncClient())
        before = connections()
        assert (await anext(text)).startswith(b"sensor,")
        assert (await anext(text)).count(b"\n") == 10
        assert connections() == before + 1
        answer.close()
        assert await settled(lambda: connections() == before)

        answer, text = await stream(AsyncClient())
        assert b"".join([piece async for piece in text]).count(b"\n") == 41
        assert await settled(lambda: connections() == before)

    run(journey, monkeypatch)


@COMMITTED
def test_so_many_at_once_and_no_more(sensors: dict[int, Sensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MOST_AT_ONCE", 1)

    async def journey() -> None:
        first, text = await stream(AsyncClient())
        await anext(text)
        second = await AsyncClient().get(ROUTE)
        assert (second.status_code, second["Retry-After"]) == (503, "5")
        first.close()
        third = await AsyncClient().get(ROUTE)
        assert third.status_code == 200
        third.close()

    run(journey, monkeypatch)


@COMMITTED
def test_memory_stays_flat(sensors: dict[int, Sensor], tmp_path: Path, noon: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO monitoring_measurement (sensor_id, created_at, received_at, value, unit)"
            " SELECT 3, at, at, random(), 'V' FROM generate_series(%s, %s, interval '10 s') AS at",
            [noon - timedelta(days=30), noon],
        )
    rows = 30 * 24 * 360 + 1
    url = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{connection.settings_dict['NAME']}"
    port, log = free_port(), tmp_path / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "config.web", "--port", str(port)],
            cwd=PROJECT,
            env=os.environ | {"DATABASE_URL": url, "API_PUBLIC_READ": "1"},
            stdout=output,
            stderr=output,
        )
    try:
        site = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{site}/healthz", timeout=5):
                return True
            return False

        wait_for(answers, "the site", 60)
        address = site + ROUTE
        status = Path(f"/proc/{server.pid}/status")

        def most() -> int:
            """MiB that it has held at most."""
            line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
            return int(line.split()[1]) // 1024

        def fetch(query: str) -> int:
            with urllib.request.urlopen(address + query, timeout=30) as answer:
                return sum(1 for _ in answer)

        assert fetch(f"?from={int(noon.timestamp()) - 86_400}") > 8_000
        before = most()
        assert fetch("") == rows + 1
        assert most() - before < 12  # the file has 17 MB
    finally:
        server.kill()
        server.wait()
