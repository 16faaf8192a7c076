"""The health check of a connection to the database: it asks where in doubt, and finds what is gone."""

from collections.abc import Iterator

import psycopg2
import pytest
from django.db import connection

from config.postgresql import base

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator[psycopg2.extensions.cursor]:
    """A connection beside Django's, which sees what that one asked last and may end it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'asked'")
    other = psycopg2.connect(**connection.get_connection_params())
    other.autocommit = True
    with other.cursor() as cursor:
        yield cursor
    other.close()
    connection.close()


def asked_last(server: psycopg2.extensions.cursor) -> str:
    server.execute(
        "SELECT query FROM pg_stat_activity WHERE pid = %s", [connection.connection.info.backend_pid]
    )
    (query,) = server.fetchone() or [""]
    return str(query)


def test_of_a_connection_in_use_nothing_is_asked(server: psycopg2.extensions.cursor) -> None:
    assert connection.is_usable()  # its first check
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'asked'")

    assert connection.is_usable()

    assert asked_last(server) == "SELECT 'asked'"


@pytest.mark.parametrize("doubt", ["idle", "an error"])
def test_in_doubt_the_server_is_asked(
    server: psycopg2.extensions.cursor, monkeypatch: pytest.MonkeyPatch, doubt: str
) -> None:
    assert connection.is_usable()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'asked'")
    if doubt == "idle":
        monkeypatch.setattr(base, "IDLE_SECONDS", 0)
    else:
        monkeypatch.setattr(connection, "errors_occurred", True)

    assert connection.is_usable()

    assert asked_last(server) == "SELECT 1"


def test_what_the_server_ended_is_not_usable(server: psycopg2.extensions.cursor) -> None:
    assert connection.is_usable()
    # With a timeout it returns when the process has gone.
    server.execute("SELECT pg_terminate_backend(%s, 10000)", [connection.connection.info.backend_pid])

    assert not connection.is_usable()


def test_what_we_closed_is_not_usable(server: psycopg2.extensions.cursor) -> None:
    connection.connection.close()
    assert not connection.is_usable()
