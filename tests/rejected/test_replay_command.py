"""manage.py replay."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection

from batches.store import BatchStore
from monitoring import locks
from monitoring.models import Job, Measurement, RejectedMessage
from monitoring.rejected import jobs
from monitoring.rejected.selection import Selection
from monitoring.upkeep.pieces import TimeShare
from tests.rejected.conftest import Reject, reading, register, require_exact_books
from tests.rejected.test_jobs import PROJECT

pytestmark = pytest.mark.django_db


def run(*arguments: object) -> str:
    """What it says last."""
    said = StringIO()
    call_command("replay", *map(str, arguments), stderr=said)
    return said.getvalue().splitlines()[-1]


def test_it_says_what_came_of_it(reject: Reject, store: BatchStore, noon: datetime) -> None:
    ts = noon.timestamp()
    reject(*(reading(value=place, ts=ts + place) for place in range(3)), reading(value=0, ts=ts))
    reject(reading(unit="F"), reading(13), b"x" * 20_000)
    register(12, unit="°C")
    came = "of 5: 3 stored, 1 duplicate, 1 rejected again (unit_mismatch 1)"
    assert run("--code", "unknown_sensor", "--sensor", 12, "--dry-run") == f"nothing was changed; {came}"
    assert not Measurement.objects.exists()
    assert not Job.objects.exists()
    assert run("--code", "unknown_sensor", "--sensor", 12) == came
    job = Job.objects.get()
    assert (job.state, job.requested_by, job.user) == ("done", "", None)
    came = "of 2: 1 stored, 0 duplicates, 1 rejected again (unknown_sensor 1)"
    assert run("--all", "--unit", "F", "°C") == came
    require_exact_books(store)


def test_it_takes_what_meets_all_that_is_said(reject: Reject, noon: datetime) -> None:
    rows = [reject(reading(value=hour), at=noon + timedelta(hours=hour))[0] for hour in range(4)]
    RejectedMessage.objects.filter(pk=rows[3].pk).update(topic="else/where")
    start, until = (noon + timedelta(hours=hours) for hours in (1, 3))
    span = ("--from", start.isoformat(), "--to", until.isoformat())
    for arguments, count in (
        (span, 2),
        (("--topic", "else/where"), 1),
        (("--id", rows[0].pk, rows[1].pk, "--id", rows[3].pk), 3),
        ((*span, "--id", rows[0].pk, rows[1].pk), 1),
        (("--all",), 4),
    ):
        for more in ((), ("--dry-run",)):
            assert f"of {count}: 0 stored" in run(*arguments, *more), arguments


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "say which"),
        (("--dry-run",), "say which"),
        (("--all", "--code", "conflict"), "say which"),
        (("--code", "conflict"), "nothing that waits"),
        (("--sensor", 2**63 - 1), "nothing that waits"),
        (("--id", 1), "nothing that waits"),
        (("--topic", "x", "--dry-run"), "nothing that waits"),
        (("--code", "too_large"), "only the beginning"),
        (("--code", "no_such_code"), "--code"),
        (("--from", "yesterday"), "--from"),
        (("--sensor", "twelve"), "--sensor"),
        (("--unit", "C"), "--unit"),
        (("--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"), "before"),
        # What no column can hold.
        (("--sensor", 2**63), "--sensor"),
        (("--sensor", 0), "--sensor"),
        (("--id", 2**63), "--id"),
        (("--unit", "C", ""), "--unit"),
        (("--unit", "C", "x" * 33), "--unit"),
        (("--topic", "\udcff"), "--topic"),
    ],
)
def test_where_nothing_is_selected_it_fails(arguments: tuple[object, ...], why: str, reject: Reject) -> None:
    reject(reading(), b"x" * 20_000)
    with pytest.raises(CommandError, match=re.escape(why)):
        run(*arguments)
    assert not Job.objects.exists()


def test_an_error_around_it_is_said_and_the_job_is_left(reject: Reject) -> None:
    reject(reading())
    register(12)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE monitoring_measurement RENAME COLUMN value TO worth")
    for arguments in (("--all", "--dry-run"), ("--all",)):
        with pytest.raises(CommandError, match="value") as raised:
            run(*arguments)
        assert "\n" not in str(raised.value)
    assert Job.objects.open().count() == 1
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE monitoring_measurement RENAME COLUMN worth TO value")
    jobs.work(TimeShare())
    assert Measurement.objects.count() == 1


class Elsewhere:
    """Another worker, on a connection of its own: it holds the jobs' lock, and does something with it once
    the command waits for that."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then
        self._is_held = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._is_held.wait(30)

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s)", [locks.JOBS])
                self._is_held.set()
                while True:
                    cursor.execute(
                        "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database"
                        " WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
                    )
                    if cursor.fetchone():
                        break
            self._then()
        finally:
            connection.close()


@pytest.mark.django_db(transaction=True)
def test_where_a_worker_is_at_it_the_command_watches(reject: Reject, store: BatchStore) -> None:
    reject(*(reading(value=place) for place in range(3)))
    register(12)

    def finish() -> None:
        # The lock is of this connection, so it is at hand.
        jobs.work(TimeShare())

    with Elsewhere(finish):
        assert run("--all") == "of 3: 3 stored, 0 duplicates, 0 rejected again"
    assert Job.objects.get().state == "done"
    require_exact_books(store)


@pytest.mark.django_db(transaction=True)
def test_where_a_worker_leaves_it_the_command_goes_on(reject: Reject, store: BatchStore) -> None:
    reject(*(reading(value=place) for place in range(3)))
    register(12)
    with Elsewhere(lambda: None):
        assert run("--all") == "of 3: 3 stored, 0 duplicates, 0 rejected again"
    require_exact_books(store)


@pytest.mark.django_db(transaction=True)
def test_ctrl_c_stops_it(reject: Reject, store: BatchStore, monkeypatch: pytest.MonkeyPatch) -> None:
    reject(*(reading(value=place) for place in range(5)))
    register(12)
    monkeypatch.setattr(jobs, "PIECE", 2)
    before = signal.getsignal(signal.SIGINT)  # ignored, where a shell started the tests in the background

    def interrupt() -> None:
        # A piece of the job's is done by then; the command finds the job between two.
        pieces = jobs._pieces(Job.objects.get().pk, TimeShare())
        next(pieces)
        os.kill(os.getpid(), signal.SIGINT)
        # The bound is for a command that has failed.
        end = time.monotonic() + 30
        while not Job.objects.get().stop_requested and time.monotonic() < end:
            pass

    with Elsewhere(interrupt), pytest.raises(CommandError) as raised:
        run("--all")
    assert str(raised.value) == (
        "stopped; of 2: 2 stored, 0 duplicates, 0 rejected again; what is left waits on"
    )
    assert raised.value.returncode == 130
    assert Job.objects.get().state == "stopped"
    assert RejectedMessage.objects.waiting().count() == 3
    require_exact_books(store)
    # What was set aside for it is as it was.
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.django_db(transaction=True)
def test_somebody_else_may_stop_it(reject: Reject) -> None:
    reject(reading())

    def stop() -> None:
        assert jobs.request_stop(Job.objects.get().pk)

    with Elsewhere(stop), pytest.raises(CommandError, match="stopped; of 0: 0 stored"):
        run("--all")


def test_it_works_at_its_own_job_alone(reject: Reject, ana: User) -> None:
    reject(reading(), b"garbage")
    other = jobs.request(Job.Kind.DISMISS, Selection(code="not_json"), ana, reason="x")
    assert "of 1: 0 stored" in run("--code", "unknown_sensor")
    assert list(Job.objects.open()) == [other]


def test_a_terminal_is_shown_a_bar(reject: Reject, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("monitoring.management.progress._TTY_SECONDS", 0)
    monkeypatch.setattr(jobs, "PIECE", 2)
    reject(*(reading(value=place) for place in range(4)))
    for more in ([], ["--dry-run"]):
        terminal = Terminal()
        call_command("replay", "--all", *more, stderr=terminal)
        assert re.search(r"\[#{12}\.{12}\]  50%  2 messages", terminal.getvalue())


@pytest.mark.django_db(transaction=True)
def test_its_exit_code_says_what_came(reject: Reject) -> None:
    url = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{connection.settings_dict['NAME']}"

    def code(*arguments: str) -> int:
        return subprocess.run(
            [sys.executable, "manage.py", "replay", *arguments],
            cwd=PROJECT,
            env=os.environ | {"DATABASE_URL": url},
            capture_output=True,
            timeout=60,
        ).returncode

    reject(reading())
    assert code("--all", "--dry-run") == 0
    assert code("--all") == 0
    assert code("--code", "conflict") == 1
    assert code("--code", "no_such_code") == 2
