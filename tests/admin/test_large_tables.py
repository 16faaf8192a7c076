"""The pages over what grows cost the same however much there is."""

import re
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from monitoring.admin import read_only
from tests.plans import plan

MEASUREMENTS = reverse("admin:monitoring_measurement_changelist")


def rows(admin: Client, query: dict[str, object]) -> list[object]:
    return list(admin.get(MEASUREMENTS, query).context["cl"].result_list)


def test_it_works(admin: Client, data: datetime) -> None:
    first, second, third = (rows(admin, {"p": p}) for p in (1, 2, 3))
    assert (len(first), len(second), len(third)) == (50, 50, 20)
    assert first[0].created_at == data  # type: ignore[attr-defined]
    assert len({row.pk for row in first + second + third}) == 120  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["measurement", "rejectedmessage", "rejectedtally", "ingestbatch"])
def test_nothing_is_counted(admin: Client, data: datetime, name: str) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        admin.get(reverse(f"admin:monitoring_{name}_changelist"), {"p": 1})
    asked = [q["sql"] for q in queries if "monitoring_" in q["sql"]]
    assert not any("COUNT(" in sql.upper() for sql in asked), asked
    assert len(queries) <= 6, asked


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"p": 2},
        {"sensor__id__exact": 3},
        {"created_at_from_0": "2026-01-01", "created_at_from_1": "00:00:00"},
    ],
)
def test_a_page_of_measurements_is_read_from_indexes(
    admin: Client, data: datetime, query: dict[str, object]
) -> None:
    with CaptureQueriesContext(connection) as queries:
        admin.get(MEASUREMENTS, query)
    (page,) = (q["sql"] for q in queries if 'FROM "monitoring_measurement"' in q["sql"])
    planned = plan(page, without=("seqscan", "bitmapscan", "sort"))
    assert "Index Scan" in planned
    wrong = r"Seq Scan on monitoring_measurement|^ *(->)? *Sort"
    assert not re.search(wrong, planned, re.MULTILINE), planned


def test_neither_the_order_nor_other_columns_can_be_asked_for(admin: Client, data: datetime) -> None:
    assert [r.pk for r in rows(admin, {"o": "2"})] == [r.pk for r in rows(admin, {})]  # type: ignore[attr-defined]
    assert admin.get(MEASUREMENTS, {"value": "3"}).status_code == 400


def test_pages_end(admin: Client, data: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_only, "MOST_PAGES", 2)
    assert "filter by time" in admin.get(MEASUREMENTS, {"p": 2}).content.decode()
    assert admin.get(MEASUREMENTS, {"p": 3}).status_code == 302
    assert len(rows(admin, {"all": ""})) == 50


def test_it_filters_by_sensor_and_time(admin: Client, data: datetime) -> None:
    assert {row.sensor_id for row in rows(admin, {"sensor__id__exact": 3})} == {3}  # type: ignore[attr-defined]
    since = data - timedelta(minutes=9, seconds=30)
    asked = {"created_at_from_0": f"{since:%Y-%m-%d}", "created_at_from_1": f"{since:%H:%M:%S}"}
    assert len(rows(admin, asked)) == 10


@pytest.mark.parametrize(
    "query", [{"sensor__id__exact": "x"}, {"created_at_from_0": "x", "created_at_from_1": "y"}, {"p": "x"}]
)
def test_it_handles_nonsense(admin: Client, data: datetime, query: dict[str, object]) -> None:
    assert admin.get(MEASUREMENTS, query).status_code in (200, 302)


def test_a_measurement_has_no_page_of_its_own(admin: Client, data: datetime) -> None:
    with CaptureQueriesContext(connection) as queries:
        for name in ("change", "delete", "history"):
            url = reverse(f"admin:monitoring_measurement_{name}", args=[1])
            assert admin.get(url).status_code in (302, 403, 404)
    assert not any('FROM "monitoring_measurement"' in q["sql"] for q in queries)


def test_only_the_sensors_of_the_page_are_looked_up(admin: Client, data: datetime) -> None:
    with CaptureQueriesContext(connection) as queries:
        page = admin.get(reverse("admin:monitoring_sensor_changelist"), {"kind": "light"})
    looked_up = [q["sql"] for q in queries if "monitoring_measurement" in q["sql"]]
    assert len(looked_up) == 1
    assert "'{3}'" in looked_up[0]
    assert "2 min ago" in page.content.decode() or "s ago" in page.content.decode()


def test_no_count_is_made_up_either(admin: Client, data: datetime) -> None:
    html = admin.get(MEASUREMENTS).content.decode()
    assert "Show all" not in html
    assert "5000" not in html
