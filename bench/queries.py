"""Queries on a small and a large database that answer the same: what a full table costs.

    python -m bench.queries [--sensors 50] [--rows-per-sensor 1051200] [--repeat 200] [--keep DIR]
                                                                           (or: make bench-queries)

Two PostgreSQL of the same settings: one sensor with two years of one reading a minute (1.05 million rows),
and fifty such (52 million). Before each stands a web process, as the Procfile has it. Each query is a request
over HTTP on a connection that is kept alive, from the first byte sent to the last received; one is Python on
the models. Small and large in turn, so that whatever else the machine does falls on both. Sensor 1 is the
same in both, and so must be what is answered about it.

The verdict is on the medians. A p99 also holds what else the machine did; it is shown beside them.
With --keep the databases stay in DIR, and a later run with the same numbers takes them as they are.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from bench import ground
from bench.history import DAY, LEVELS, History, compare, fill
from runner.child import read_procfile
from runner.ports import choose
from runner.services import Postgres, Redis

API = "/api/monitoring/"
ROWS = 730 * 24 * 60
LIMIT = 100
PAGE = 1000
POINTS = 500
SPANS = {"an hour": timedelta(hours=1), "a day": DAY, "30 days": 30 * DAY, "two years": 730 * DAY}
MOST_RATIO = 1.3
MOST_MS = {"last/": 4.0, "series/, 30 days": 60.0}
WARM_UP = 10
# How many days of a sensor have their buckets held against the rows.
SAMPLE = 40


class Query(NamedTuple):
    """`ask` is what is timed; `told` makes of its result what must be the same in both databases."""

    ask: Callable[[], Any]
    told: Callable[[Any], Any]


class Answer(NamedTuple):
    link: str
    body: bytes


class Web:
    """A web process of the Procfile, and one connection to it."""

    def __init__(self, database_url: str) -> None:
        port = str(choose())
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        variables = os.environ | {
            "DATABASE_URL": database_url,
            "WEB_LISTEN": "127.0.0.1",
            "WEB_PORT": port,
            "FLOWER_PORT": port,
            "PATH": path,
        }
        argv = read_procfile(ground.PROJECT / "Procfile", variables)["web"]
        self._process = subprocess.Popen(argv, cwd=ground.PROJECT, env=variables)
        self._connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.get("/healthz")
                return
            except ConnectionError:
                self._connection.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def get(self, path: str, cookie: str = "") -> Answer:
        self._connection.request("GET", path, headers={"Host": "localhost", "Cookie": cookie})
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise SystemExit(f"{path}: {response.status} {body[:500]!r}")
        return Answer(response.headers.get("Link", ""), body)

    def stop(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.wait()


@dataclass
class Database:
    name: str
    postgres: Postgres
    history: History
    connection: Any = None
    web: Web | None = None
    queries: dict[str, Query] = field(default_factory=dict)
    took: dict[str, list[float]] = field(default_factory=dict)

    @property
    def note(self) -> Path:
        """Stands there once it is filled, and says with what."""
        return self.postgres.folder / "filled.json"

    def connect(self) -> None:
        from django.db import connections
        from django.db.utils import load_backend

        address = urlsplit(self.postgres.url)
        settings = dict(connections.settings["default"])
        settings |= {"HOST": address.hostname, "PORT": address.port, "PASSWORD": address.password}
        self.connection = load_backend(settings["ENGINE"]).DatabaseWrapper(settings, "default")

    def disconnect(self) -> None:
        if self.web is not None:
            self.web.stop()
        if self.connection is not None:
            self.connection.close()

    def use(self) -> None:
        """From now on this is what Django calls `default`."""
        from django.db import connections

        connections["default"] = self.connection


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sensors", type=int, default=50, help="of the large database")
    parser.add_argument("--rows-per-sensor", type=int, default=ROWS)
    parser.add_argument("--repeat", type=int, default=200)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the databases stay for the next run")
    options = parser.parse_args()
    with ground.folder(options.keep) as folder:
        (folder / "static").mkdir(exist_ok=True)
        with Redis(folder / "redis") as redis:
            # Nobody listens there: a database is named where it is used.
            nowhere = "postgres://iot:none@127.0.0.1:1/iot"
            variables = ground.environment(
                folder, nowhere, redis.url, API_PUBLIC_READ="1", RETENTION_DAYS="800"
            )
            ground.django_on(variables)
            databases = _databases(folder, options.sensors, options.rows_per_sensor)
            for database in databases:
                if not database.note.exists():
                    _fill(database)
            with _running(databases):
                _ask_all(databases, options.repeat)
    raise SystemExit(_verdict(*databases))


def _databases(folder: Path, sensors: int, rows: int) -> list[Database]:
    """Both, as they stand in the folder or are to be made. Raises SystemExit where others stand there."""
    places = [Postgres(folder / name) for name in ("small", "large")]
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    wanted = [
        Database(p.folder.name, p, History(n, rows, end)) for p, n in zip(places, (1, sensors), strict=True)
    ]
    for database in wanted:
        if database.note.exists():
            end = datetime.fromisoformat(json.loads(database.note.read_text())["end"])
    for database in wanted:
        database.history = database.history._replace(end=end)
        asked = {"sensors": database.history.sensors, "rows": rows, "end": end.isoformat()}
        there = json.loads(database.note.read_text()) if database.note.exists() else asked
        if there != asked or (database.postgres.cluster.exists() and not database.note.exists()):
            raise SystemExit(
                f"{database.postgres.folder} holds another database, or one half filled: remove it, or name"
                " another folder with --keep"
            )
    return wanted


def _fill(database: Database) -> None:
    """Without fsync, which a database that can be filled again does not need."""
    from django.core.management import call_command

    name, history = database.name, database.history
    with Postgres(database.postgres.folder, durable=False) as postgres:
        filling = Database(name, postgres, history)
        filling.connect()
        filling.use()
        call_command("migrate", verbosity=0)
        fill(postgres.url, history, name)
        _check_sample(filling)
        filling.disconnect()
        postgres.stop(grace=300)
    note = {"sensors": history.sensors, "rows": history.rows, "end": history.end.isoformat()}
    database.note.write_text(json.dumps(note))


def _check_sample(database: Database) -> None:
    """Raises SystemExit where a bucket is not what SQL over the raw rows has."""
    history, random, buckets = database.history, Random(1), 0
    first = history.start.replace(hour=0, minute=0)
    with database.connection.cursor() as cursor:
        for _ in range(SAMPLE):
            sensor = random.randint(1, history.sensors)
            day = first + random.randrange((history.end - first) // DAY + 1) * DAY
            for level in LEVELS:
                expected, differing = compare(cursor, level, sensor, day)
                buckets += expected
                if differing:
                    raise SystemExit(
                        f"{database.name}: {differing} {level}s of sensor {sensor}, {day:%F}, are wrong"
                    )
    print(
        f"{database.name}: {buckets:,} buckets of {SAMPLE} days taken at random equal SQL over their rows",
        flush=True,
    )


@contextmanager
def _running(databases: list[Database]) -> Iterator[None]:
    from django.core.management import call_command

    try:
        for database in databases:
            database.postgres.start()
            database.connect()
            # It may be older than the code.
            database.use()
            call_command("migrate", verbosity=0)
            database.web = Web(database.postgres.url)
        # What filling left to be written would be written meanwhile.
        os.sync()
        yield
    finally:
        for database in databases:
            database.disconnect()
            database.postgres.stop()


# --- the queries ---------------------------------------------------------------------------------


def _queries(history: History, web: Web) -> dict[str, Query]:
    """Those of the database in use, which `web` serves."""
    from django.contrib.auth.models import User
    from django.test import Client

    from monitoring.models import Measurement

    staff = User.objects.filter(username="bench").first() or User.objects.create_superuser("bench")
    person = Client()
    person.force_login(staff)
    session = person.cookies.output(header="", attrs=[], sep=";").strip()

    def get(path: str, told: Callable[[Answer], Any], **params: object) -> Query:
        address = f"{path}?{urlencode(params)}" if params else path
        return Query(lambda: web.get(address), told)

    one, everything = f"{API}sensors/1/", f"{API}measurements/"
    of_one = Measurement.objects.filter(sensor_id=1).order_by("-created_at")
    of_all = Measurement.objects.order_by("-created_at", "-id")
    page = min(PAGE, history.rows // LIMIT)
    assert _cursor(of_one, 2) in web.get(f"{one}measurements/").link
    assert _cursor(of_all, 2) in web.get(everything).link
    queries = {
        "last/": get(f"{one}last/", _json),
        "measurements of sensor 1, page 1": get(f"{one}measurements/", _without_ids),
        f"measurements of sensor 1, page {page:,}": get(
            f"{one}measurements/", _without_ids, cursor=_cursor(of_one, page)
        ),
    }
    for name, span in SPANS.items():
        params = {"from": (history.end - span).isoformat(), "to": history.end.isoformat(), "points": POINTS}
        queries[f"series/, {name}"] = get(f"{one}series/", _json, **params)
    newest = Measurement.objects.order_by("-created_at")
    return queries | {
        "measurements of all, page 1": get(everything, _count),
        f"measurements of all, page {page:,}": get(everything, _count, cursor=_cursor(of_all, page)),
        'order_by("-created_at")[:5]': Query(lambda: list(newest[:5]), len),
        "the admin's list": Query(
            lambda: web.get("/admin/monitoring/measurement/", session), lambda answer: None
        ),
    }


def _cursor(rows: Any, page: int) -> str:
    """What the page before has in its Link, made without the walk there."""
    from monitoring.api.pages import Cursor

    last = rows[(page - 1) * LIMIT - 1]
    return Cursor(last.created_at, last.pk).encode()


def _json(answer: Answer) -> Any:
    return json.loads(answer.body)


def _without_ids(answer: Answer) -> Any:
    rows = _json(answer)
    assert len(rows) == LIMIT, len(rows)
    return [row | {"id": None} for row in rows]


def _count(answer: Answer) -> int:
    return len(_json(answer))


def _ask_all(databases: list[Database], repeat: int) -> None:
    for database in databases:
        database.use()
        assert database.web is not None
        database.queries = _queries(database.history, database.web)
        database.took = {name: [] for name in database.queries}
    names = list(databases[0].queries)
    bar, asked = ground.progress("requests"), 0
    for number in range(-WARM_UP, repeat):
        for name in names:
            answers = []
            for database in databases if number % 2 else reversed(databases):
                database.use()
                query = database.queries[name]
                began = time.perf_counter()
                answer = query.ask()
                took = time.perf_counter() - began
                if number >= 0:
                    database.took[name].append(took * 1000)
                answers.append(query.told(answer))
                asked += 1
            if answers[0] != answers[1]:
                raise SystemExit(f"{name}: the two databases answer differently")
        bar.show(asked, (number + WARM_UP + 1) / (WARM_UP + repeat), "asking")
    bar.line(f"{asked:,} requests asked; the two databases answered the same")


def _verdict(small: Database, large: Database) -> int:
    """Prints the table; 1 where something is over its limit."""
    print(f"{'ms':40}{'small':>8}{'':8}{'large':>8}{'':8}{'ratio':>7}")
    print(f"{'':40}{'p50':>8}{'p99':>8}{'p50':>8}{'p99':>8}{'p50':>7}{'p99':>7}")
    over = []
    for name in small.queries:
        figures = [ground.percentile(one.took[name], p) for one in (small, large) for p in (50, 99)]
        ratio, ratio_99 = figures[2] / figures[0], figures[3] / figures[1]
        print(f"{name:40}" + "".join(f"{ms:8.2f}" for ms in figures) + f"{ratio:7.2f}{ratio_99:7.2f}")
        if ratio > MOST_RATIO:
            over.append(f"{name}: the ratio of the medians is {ratio:.2f}; {MOST_RATIO} is the most")
        if (slower := max(figures[0], figures[2])) > MOST_MS.get(name, slower):
            over.append(f"{name}: {slower:.0f} ms at the median; {MOST_MS[name]:.0f} is the most")
    rows = [f"{one.name} {one.history.sensors * one.history.rows:,} rows" for one in (small, large)]
    print(f"{', '.join(rows)}; each query {len(small.took['last/'])} times in each")
    print("\n".join(f"OVER: {line}" for line in over) or "nothing is over its limit")
    return bool(over)


if __name__ == "__main__":
    main()
