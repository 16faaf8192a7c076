"""Requests over HTTP, and what they hold of the database."""

from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from tests.journey.system import wait_for
from tests.web.site import THREADS, Client, Site

pytestmark = pytest.mark.xdist_group("web")
LAST = "/api/monitoring/sensors/3/last/"


def test_requests_are_answered_over_the_connections_that_are_there(site: Site) -> None:
    client = site.client()
    for _ in range(2 * THREADS):
        assert client.get(LAST).status == 200
    there = set(site.backends())
    assert 1 <= len(there) <= THREADS

    for _ in range(50):
        assert client.get(LAST).status == 200

    assert there <= set(site.backends())


def test_many_at_once_open_no_more_than_there_are_threads(site: Site) -> None:
    clients = [site.client() for _ in range(20)]

    def ask(client: Client) -> set[int]:
        return {client.get(LAST).status for _ in range(10)}

    with ThreadPoolExecutor(20) as threads:
        asked = [threads.submit(ask, client) for client in clients]
        most = max(len(site.backends()) for _ in range(5))

        assert set().union(*(one.result() for one in asked)) == {200}
    assert most <= THREADS
    assert set(site.backends().values()) == {"idle"}


def test_a_connection_that_was_killed_costs_no_request(site: Site) -> None:
    client = site.client()
    assert client.get(LAST).status == 200

    for pid in site.backends():
        site.query("SELECT pg_terminate_backend(%s)", pid)
    wait_for(lambda: not site.backends(), "the end of the connections")

    for _ in range(2 * THREADS):
        assert client.get(LAST).status == 200


def test_a_query_that_was_killed_costs_its_request_alone(site: Site) -> None:
    with psycopg2.connect(site.postgres.url, application_name="the test") as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE monitoring_sensor")
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(site.client().get, "/api/monitoring/sensors/")
            wait_for(lambda: "active" in site.backends().values(), "the query")
            for pid, state in site.backends().items():
                if state == "active":
                    site.query("SELECT pg_terminate_backend(%s)", pid)
            answer = asked.result()
    assert answer.status == 503
    assert answer.headers["Retry-After"]

    client = site.client()
    for _ in range(2 * THREADS):
        assert client.get("/api/monitoring/sensors/").status == 200


def test_it_outlives_a_restart_of_the_database(site: Site) -> None:
    client = site.client()
    assert client.get(LAST).status == 200

    site.postgres.stop()
    try:
        assert client.get(LAST).status == 503
        assert client.get("/readyz").status == 503
        assert client.get("/healthz").status == 200
    finally:
        site.postgres.start()

    for _ in range(2 * THREADS):
        assert client.get(LAST).status == 200


def test_no_answer_leaves_a_transaction_open(site: Site) -> None:
    client = site.client()
    for path in ("/api/monitoring/sensors/77/", "/api/monitoring/sensors/?x=1", "/admin/", "/admin/login/"):
        for _ in range(THREADS):
            client.get(path)

    assert set(site.backends().values()) == {"idle"}


def test_where_all_threads_wait_the_probes_still_answer(site: Site) -> None:
    with psycopg2.connect(site.postgres.url, application_name="the test") as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE monitoring_sensor")
        with ThreadPoolExecutor(THREADS) as threads:
            asked = [threads.submit(site.client().get, "/api/monitoring/sensors/") for _ in range(THREADS)]
            wait_for(lambda: list(site.backends().values()).count("active") == THREADS, "the queries")
            try:
                assert site.client().get("/healthz").status == 200
                # It gives PostgreSQL and Redis a second or two each.
                wait_for(lambda: site.client().get("/readyz").status == 200, "an answer")
                assert not any(one.done() for one in asked)
            finally:
                other.rollback()
        assert {one.result().status for one in asked} == {200}


def test_a_stream_that_is_under_way_holds_no_thread(site: Site) -> None:
    """More of them than there are threads; of none does the client read more than the head."""
    site.query(
        "INSERT INTO monitoring_measurement (sensor_id, created_at, received_at, value, unit)"
        " SELECT 2, now() - n * interval '1 millisecond', now(), n, '%%' FROM generate_series(1, 200000) n"
    )
    clients = [site.client() for _ in range(THREADS + 1)]
    for client in clients:
        client.connection.request(
            "GET", "/api/monitoring/sensors/2/measurements/export/", headers={"Host": "localhost"}
        )
        assert client.connection.getresponse().status == 200

    assert site.client().get(LAST).status == 200

    for client in clients:
        client.connection.close()
    wait_for(lambda: len(site.backends()) <= THREADS, "the end of the exports' connections")


def test_what_a_request_sets_is_not_there_for_the_next_on_its_thread(site: Site) -> None:
    client = site.client()
    for _ in range(THREADS):
        assert b'lang="fr"' in client.get("/admin/login/", Accept_Language="fr").body

    for _ in range(2 * THREADS):
        assert b'lang="en"' in client.get("/admin/login/").body
