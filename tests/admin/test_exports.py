"""From the admin to a sensor's measurements as a file."""

import re
from datetime import datetime, timedelta
from html import unescape

from django.test import Client
from django.urls import reverse

MEASUREMENTS = reverse("admin:monitoring_measurement_changelist")


def linked(admin: Client, page: str, query: dict[str, str] | None = None) -> list[str]:
    html = admin.get(page, query).content.decode()
    return [unescape(link) for link in re.findall(r'href="([^"]+/export/[^"]+)"', html)]


def lines(admin: Client, address: str) -> list[str]:
    return b"".join(admin.get(address).streaming_content).decode().splitlines()  # type: ignore[attr-defined]


def test_a_sensors_page_links_to_all_that_it_measured(admin: Client, data: datetime) -> None:
    csv, ndjson = linked(admin, reverse("admin:monitoring_sensor_change", args=[3]))
    assert len(lines(admin, csv)) == 1 + 40
    assert len(lines(admin, ndjson)) == 40


def test_a_list_of_one_sensor_links_to_what_it_lists(admin: Client, data: datetime) -> None:
    first, last = data - timedelta(hours=1), data - timedelta(minutes=29)
    asked = {"sensor__id__exact": "3"}
    for end, moment in (("from", first), ("to", last)):
        asked |= {f"created_at_{end}_0": f"{moment:%Y-%m-%d}", f"created_at_{end}_1": f"{moment:%H:%M:%S}"}
    listed = admin.get(MEASUREMENTS, asked).context["cl"].result_list

    csv, _ = linked(admin, MEASUREMENTS, asked)

    moments = [datetime.fromisoformat(line.split(",")[1]) for line in lines(admin, csv)[1:]]
    assert moments == [row.created_at for row in reversed(list(listed))]
    assert 0 < len(moments) < 40


def test_a_list_of_all_says_how_to_come_to_a_file(admin: Client, data: datetime) -> None:
    assert linked(admin, MEASUREMENTS) == []
    assert "Filtered by a sensor, they can be had as a file." in admin.get(MEASUREMENTS).content.decode()


def test_a_sensor_that_is_none_breaks_nothing(admin: Client, data: datetime) -> None:
    for sensor in ("77", "x", "9" * 30):
        assert admin.get(MEASUREMENTS, {"sensor__id__exact": sensor}, follow=True).status_code == 200
