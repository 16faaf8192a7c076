"""What the site says where no view answers: a page of ours, and under /api/ JSON."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.models import User
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.web.site import METRICS_TOKEN, Answer, Site


def assert_ours(answer: Answer, status: int, *said: str) -> None:
    page = answer.body.decode()
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert f'<p class="status">{status}</p>' in page
    assert 'href="/"' in page
    assert 'href="/admin/"' in page
    for words in said:
        assert words in page


@contextmanager
def away(site: Site, table: str) -> Iterator[None]:
    site.query(f"ALTER TABLE {table} RENAME TO away")
    try:
        yield
    finally:
        site.query(f"ALTER TABLE away RENAME TO {table}")


def test_a_path_that_is_none(site: Site) -> None:
    assert_ours(site.client().get("/nowhere/"), 404, "Nothing here")


def test_a_form_without_its_mark(site: Site) -> None:
    assert_ours(site.client().ask("POST", "/admin/login/"), 403, "CSRF_TRUSTED_ORIGINS")


def test_a_name_that_is_not_the_sites(site: Site) -> None:
    assert_ours(site.client().get("/admin/login/", Host="raspberry.local"), 400, "ALLOWED_HOSTS")
    answer = site.client().get("/api/docs", Host="raspberry.local")
    assert answer.status == 400
    assert "ALLOWED_HOSTS" in json.loads(answer.body)["detail"]


def test_a_fault_of_the_site(site: Site) -> None:
    with away(site, "django_session"):
        answer = site.client().get("/admin/", Cookie="sessionid=" + 32 * "x")
    assert_ours(answer, 500, "Something went wrong", "The log of the process “web”")


def test_a_fault_of_the_api_is_json(site: Site) -> None:
    with away(site, "monitoring_sensor"):
        answer = site.client().get("/api/monitoring/sensors/")
    assert answer.status == 500
    assert "a fault of the site" in json.loads(answer.body)["detail"]


def test_prometheus_reads_the_metrics(site: Site) -> None:
    def up() -> dict[str, float]:
        answer = site.client().get("/metrics", Authorization=f"Bearer {METRICS_TOKEN}")
        assert answer.status == 200
        samples = [one for family in parse(answer.body.decode()) for one in family.samples]
        assert any(one.labels == {"process": "web"} and one.value == 1 for one in samples)
        return {one.labels["store"]: one.value for one in samples if one.name == "iot_store_up"}

    assert site.client().get("/metrics").status == 401
    assert up() == {"redis": 1, "database": 1}
    with away(site, "monitoring_ingestbatch"):
        assert up() == {"redis": 1, "database": 0}


def test_a_page_that_one_may_not_see(client: Client, db: None) -> None:
    client.force_login(User.objects.create_user("ana", is_staff=True))
    page = client.get("/admin/monitoring/sensor/")
    assert page.status_code == 403
    assert "You are signed in, but may not do this." in page.content.decode()


def test_a_page_that_the_admin_does_not_have(admin_client: Client) -> None:
    page = admin_client.get("/admin/nowhere/")
    assert page.status_code == 404
    assert "There is no such page" in page.content.decode()
