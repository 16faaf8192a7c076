"""A thousand sensors, each with its last value and time: what one page of `sensors/?with=last` takes.

    python -m bench.sensors [--sensors 1000] [--rows-per-sensor 2000] [--repeat 100]

Two years in 24 partitions. Of ten sensors eight have sent until now, one fell silent half a year ago, and one
has never sent: it is looked for in every partition. The time is from the URL to the bytes of the answer, over
a connection to the database that stays open. Exit code 1 where the median is over the most that is allowed.
"""

import argparse
import time
from datetime import UTC, datetime, timedelta

from bench import ground
from runner.services import Postgres

MOST_MS = 50.0
WARM_UP = 10
SPAN = timedelta(days=720)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sensors", type=int, default=1000, help="at most 1,000, which is a page")
    parser.add_argument("--rows-per-sensor", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=100)
    options = parser.parse_args()
    with ground.folder() as folder, Postgres(folder / "postgres", durable=False) as postgres:
        (folder / "static").mkdir()
        # No page here asks Redis, and nobody listens there.
        variables = ground.environment(folder, postgres.url, "redis://127.0.0.1:1/0", API_PUBLIC_READ="1")
        ground.django_on(variables)
        _fill(options.sensors, options.rows_per_sensor)
        took = [_ask(options.sensors) for _ in range(WARM_UP + options.repeat)][WARM_UP:]
    median = ground.percentile(took, 50)
    print(f"{options.sensors:,} sensors with their last values: p50 {median:.1f} ms", end="")
    print(f", p99 {ground.percentile(took, 99):.1f} ms; {MOST_MS:.0f} are allowed")
    raise SystemExit(median > MOST_MS)


def _fill(sensors: int, rows: int) -> None:
    from django.core.management import call_command
    from django.db import connection

    from monitoring.models import Sensor
    from monitoring.upkeep.partitions import ensure_partitions

    call_command("migrate", verbosity=0)
    Sensor.objects.register(
        [Sensor(id=n, name=f"Sensor {n}", location="Hall") for n in range(1, sensors + 1)]
    )
    end = datetime.now(UTC)
    ensure_partitions(end - SPAN, end)
    bar = ground.progress("rows")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM monitoring_sensor WHERE id > %s", [sensors])
        for number in range(1, sensors + 1):
            if number % 10 == 0:
                continue
            last = end - timedelta(days=180) if number % 10 == 1 else end
            cursor.execute(
                "INSERT INTO monitoring_measurement (sensor_id, created_at, received_at, value, unit)"
                " SELECT %s, %s - i * %s, %s, random(), 'V' FROM generate_series(0, %s) AS i",
                [number, last, (SPAN - timedelta(days=180)) / rows, end, rows - 1],
            )
            bar.show(number * rows, number / sensors, "filling")
        cursor.execute("VACUUM ANALYZE")


def _ask(sensors: int) -> float:
    """How many milliseconds an answer took."""
    from django.test import Client

    client = Client(SERVER_NAME="localhost")
    began = time.perf_counter()
    answer = client.get("/api/monitoring/sensors/", {"with": "last", "limit": 1000})
    took = time.perf_counter() - began
    last = [sensor["last"] for sensor in answer.json()]
    assert (len(last), last.count(None)) == (sensors, sensors // 10)
    return took * 1000


if __name__ == "__main__":
    main()
