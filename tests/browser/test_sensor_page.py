"""A sensor's page in a real browser: gaps, lone readings and spikes are there, zooms go and come back.

Its own web process on rows put in by SQL; no bridge, no worker.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import translation
from playwright.sync_api import expect
from redis import Redis

from monitoring.live.channel import Newest, News, channel
from monitoring.templatetags.dashboard import figure
from tests.journey.system import wait_for
from tests.web.site import Site

pytestmark = pytest.mark.timeout(240)

DAY = "from=2026-10-24T00:00:00Z&to=2026-10-25T00:00:00Z"
SHOWN = "document.getElementById('resolution').textContent"

# Sensor 1: a reading a minute over two days, none from 8 to 10 on the first. 2: from 0 to 6 and from 10 on,
# and one alone at 8. 3: a month of tens, each five minutes, and one fifty.
ROWS = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
from datetime import UTC, datetime, timedelta
from math import sin
from monitoring.models import Sensor
from monitoring.rollups.refresh import refresh
from monitoring.upkeep.partitions import ensure_partitions
from tests.rollups.rows import store
start, minute = datetime(2026, 10, 24, tzinfo=UTC), timedelta(minutes=1)
ensure_partitions(datetime(2026, 9, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1))
names = {1: "Capteur Temp Salon", 2: "Capteur Humidité Salon", 3: "Serre", 4: "Cave"}
Sensor.objects.register([Sensor(id=n, name=name, unit="°C", location="Salon") for n, name in names.items()])
minutes = [n for n in range(2880) if not 480 <= n < 600]
store([(1, start + n * minute, round(20 + 2 * sin(n / 200), 1)) for n in minutes], "°C")
store([(2, start + n * minute, 50 + n % 3) for n in range(1440) if n < 360 or n == 480 or n >= 600], "°C")
month = start - timedelta(days=30)
store([(3, month + 5 * n * minute, 50.0 if n == 4320 else 10.0) for n in range(8640)], "°C")
while refresh().batches:
    pass
"""


@pytest.fixture(scope="module")
def site(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    folder.chmod(0o755)
    site = Site(folder, RETENTION_DAYS="3270", ROLLUP_MINUTE_RETENTION_DAYS="3270")
    try:
        site.manage("shell", "-v0", "-c", ROWS)
        site.start()
        yield site
    finally:
        site.stop()


def store(site: Site, sensor: int, ago: float, value: float) -> int:
    """As a worker does, with the ledger's entry; returns when it was, in microseconds since 1970."""
    ((at,),) = site.query(
        "WITH row AS ("
        " INSERT INTO monitoring_measurement (sensor_id, created_at, received_at, value, unit)"
        " VALUES (%s, now() - make_interval(secs => %s), now(), %s, '°C') RETURNING sensor_id, created_at"
        "), entry AS ("
        " INSERT INTO monitoring_ingestbatch (id, source, messages, readings, stored, duplicates, rejected,"
        " first_received_at, last_received_at, touched_sensors, touched_minutes)"
        " SELECT gen_random_uuid(), 'mqtt:test', 1, 1, 1, 0, 0, now(), now(), ARRAY[sensor_id],"
        " ARRAY[floor(extract(epoch FROM created_at) / 60)::integer] FROM row"
        ") SELECT (extract(epoch FROM created_at) * 1000000)::bigint FROM row",
        *(sensor, ago, value),
    )
    return int(at)


Open = Callable[..., Any]


@pytest.fixture
def visit(browser: Any, site: Site) -> Iterator[Open]:
    """visit(path, zone=, width=, language=): the page, its chart drawn. No console may have complained."""
    contexts, complaints = [], []

    def open_page(
        path: str, zone: str = "UTC", width: int = 1280, language: str = "en", before: Any = None, **more: Any
    ) -> Any:
        url = f"http://127.0.0.1:{site.port}"
        context = browser.new_context(
            viewport={"width": width, "height": 900}, base_url=url, **{"timezone_id": "UTC", **more}
        )
        context.add_cookies(
            [
                {"name": "zone", "value": zone, "url": url},
                {"name": "django_language", "value": language, "url": url},
            ]
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if _is_complaint(said) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if before:
            before(page)
        page.goto(path)
        page.wait_for_selector("[data-drawn]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def _is_complaint(said: Any) -> bool:
    # What tests refuse themselves is no complaint.
    return said.type == "error" and "502" not in said.text


def pixels(page: Any, left: float, right: float, top: float = 0, bottom: float = 1) -> int:
    """How many of the chart's pixels have the curve's colour, between shares of its width and height."""
    found: int = page.evaluate(
        """([left, right, top, bottom]) => {
            const canvas = document.querySelector("#chart canvas");
            const all = canvas.getBoundingClientRect();
            const plot = document.querySelector("#chart .u-over").getBoundingClientRect();
            const ratio = canvas.width / all.width;
            const x = (share) => Math.round((plot.left - all.left + share * plot.width) * ratio);
            const y = (share) => Math.round((plot.top - all.top + share * plot.height) * ratio);
            const size = [x(right) - x(left), y(bottom) - y(top)];
            const { data } = canvas.getContext("2d").getImageData(x(left), y(top), ...size);
            let count = 0;
            for (let at = 0; at < data.length; at += 4) {
                if (data[at + 3] && data[at + 2] - data[at] > 20) count++;
            }
            return count;
        }""",
        [left, right, top, bottom],
    )
    return found


def drag(page: Any, left: float, right: float) -> None:
    box = page.locator("#chart .u-over").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + left * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + right * box["width"], y, steps=5)
    page.mouse.up()


def address(page: Any) -> tuple[datetime, datetime]:
    found = re.search(r"from=([^&]+)&to=([^&]+)", page.url)
    assert found, page.url
    start, end = map(datetime.fromisoformat, found.groups())
    return start, end


def wait_for_text(page: Any, selector: str, pattern: str) -> None:
    page.locator(selector, has_text=re.compile(pattern)).wait_for()


def test_an_outage_is_a_gap(visit: Open) -> None:
    page = visit(f"/sensors/1/?{DAY}")
    assert pixels(page, 8.1 / 24, 9.9 / 24) == 0
    assert pixels(page, 7.5 / 24, 7.9 / 24) > 20
    assert pixels(page, 10.1 / 24, 10.5 / 24) > 20
    expect(page.locator("[data-gaps]")).to_have_text("longest gap: 2 hr")
    expect(page.locator("[data-stat=covered]")).to_have_text("91.7%")
    # Nor is it joined where another curve has moments there.
    page.check("#before")
    page.wait_for_selector("#chart:not([data-drawn='1'])")
    assert pixels(page, 8.1 / 24, 9.9 / 24) == 0


def test_a_lone_reading_leaves_pixels(visit: Open) -> None:
    page = visit(f"/sensors/2/?{DAY}")
    assert pixels(page, 7.9 / 24, 8.1 / 24) > 5
    assert pixels(page, 6.2 / 24, 7.8 / 24) == pixels(page, 8.2 / 24, 9.8 / 24) == 0
    close = visit("/sensors/2/?from=2026-10-24T07:00:00Z&to=2026-10-24T09:00:00Z")
    assert close.evaluate(SHOWN) == "Each point is a reading."
    assert pixels(close, 0.45, 0.55) > 5


def test_a_spike_stays_in_the_band_of_a_month(visit: Open) -> None:
    page = visit("/sensors/3/?from=2026-09-24T00:00:00Z&to=2026-10-24T00:00:00Z")
    assert page.evaluate(SHOWN).startswith("1 point = 1 hr:")
    assert pixels(page, 0.49, 0.51, 0.1, 0.5) > 20
    assert pixels(page, 0.1, 0.48, 0.1, 0.5) == 0
    expect(page.locator("[data-stat=max]")).to_have_text("50")
    expect(page.locator("[data-at=max]")).to_have_text("9 Oct 2026, 00:00")


def test_a_drag_zooms_and_back_unzooms(visit: Open) -> None:
    page = visit(f"/sensors/1/?{DAY}")
    before, coarse = page.url, page.evaluate(SHOWN)
    assert coarse.startswith("1 point = 2 min:")
    drag(page, 0.5, 0.75)
    wait_for_text(page, "#resolution", "Each point is a reading")
    start, end = address(page)
    asked = [datetime(2026, 10, 24, hour, tzinfo=UTC) for hour in (12, 18)]
    assert all(
        abs(found - one) < timedelta(minutes=3) for found, one in zip((start, end), asked, strict=True)
    )
    for link in page.locator("#files a").all():
        assert f"from={start:%Y-%m-%dT%H}%3A{start:%M}" in link.get_attribute("href")
    page.locator("#chart .u-over").dblclick()
    page.wait_for_url(lambda url: f"from={start.isoformat()[:16]}" not in url)
    assert address(page)[0] < start
    page.go_back()
    page.wait_for_url(lambda url: f"from={start.isoformat()[:16]}" in url)
    page.go_back()
    wait_for_text(page, "#resolution", "1 point = 2 min")
    assert page.url == before
    assert page.evaluate(SHOWN) == coarse


def test_a_late_answer_replaces_nothing(visit: Open) -> None:
    page = visit(f"/sensors/1/?{DAY}")
    held: list[Any] = []
    page.route("**/series/?**", lambda route: held.append(route) if not held else route.continue_())
    # As where a fetch cannot be stopped any more: its answer is on the way.
    page.evaluate("AbortController.prototype.abort = () => {}")
    page.locator("#wider").click()
    page.wait_for_selector("#plot.old")
    page.locator("#presets [data-range='1y']").click()
    wait_for_text(page, "#resolution", "1 point = (12 hr|1 day)")
    with page.expect_response("**/series/?**"):
        held[0].continue_()
    expect(page.locator("#presets [aria-current]")).to_have_text("1 year")
    page.evaluate("new Promise((done) => setTimeout(done, 100))")
    assert re.match("1 point = (12 hr|1 day)", page.evaluate(SHOWN))
    expect(page.locator("#plot.old")).to_have_count(0)


def test_the_chosen_zone_counts_and_its_day_of_25_hours(visit: Open) -> None:
    page = visit(
        "/sensors/1/?from=2026-10-24T22:00:00Z&to=2026-10-25T23:00:00Z",
        zone="Europe/Paris",
        timezone_id="Asia/Kathmandu",
    )
    expect(page.locator("#span")).to_have_text("Sun, 25 Oct 2026 CET")
    marks = page.evaluate(
        """async ([from, to]) => {
            const moments = await import("/static/monitoring/dashboard/moments.js");
            return moments.marks(from, to, 30);
        }""",
        [
            datetime(2026, 10, 24, 22, tzinfo=UTC).timestamp() * 1000,
            datetime(2026, 10, 25, 23, tzinfo=UTC).timestamp() * 1000,
        ],
    )
    hours = [label.split("\n")[0] for label in marks["label"]]
    assert hours == ["00:00", "01:00", "02:00", "02:00", *(f"{hour:02}:00" for hour in range(3, 24)), "00:00"]
    assert marks["label"][3] == "02:00\nCET"
    page.locator("#table summary").click()
    page.locator("#table tbody tr").first.wait_for()
    rows = page.locator("#table tbody tr td:first-child").all_text_contents()
    assert rows[-1].startswith("25 Oct 2026, 00:00–00:02 CEST")
    assert [sum(f" 02:30–02:32 {zone}" in row for row in rows) for zone in ("CEST", "CET")] == [1, 1]
    # From a field that knows no zone, too.
    page.locator("#choose").click()
    field = page.locator("[name=from]")
    expect(field).to_have_value("2026-10-25T00:00")
    field.fill("2026-10-25T12:00")
    page.locator("#custom .primary").click()
    page.wait_for_url("**from=2026-10-25T11:00:00Z&to=2026-10-25T23:00:00Z")


NUMBERS = [0.0, 55.0, 2.57, -20.5, 0.00012, 1234.5, 12345.678, 1234567.8, 3e9, 1.5e-7, 123456789.0]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_number_reads_alike_wherever_it_stands(visit: Open, language: str) -> None:
    """In the list, which the server writes, and in what scripts write: the head, the table, the list anew."""
    page = visit(f"/sensors/1/?{DAY}", language=language)
    written = page.evaluate(
        """async (numbers) => {
            const { figure } = await import("/static/monitoring/dashboard/figure.js");
            return numbers.map(figure);
        }""",
        NUMBERS,
    )
    with translation.override(language):
        assert written == [figure(number) for number in NUMBERS]


def test_a_whole_value_has_no_zeros_behind_it(visit: Open, site: Site) -> None:
    store(site, 4, 20, 54.875)
    store(site, 4, 10, 55.0)
    page = visit("/sensors/4/?range=15m", language="fr")
    expect(page.locator("#value")).to_have_text("55")
    wait_for_text(page, "[data-stat=last]", "^55$")
    expect(page.locator("[data-stat=avg]")).to_have_text("54,9375")
    page.locator("#table summary").click()
    page.locator("#table td").first.wait_for()
    expect(page.locator("#table td.number")).to_have_text(["55", "54,875"])
    page.locator("[href='/']").first.click()
    wait_for_text(page, "tr[data-sensor='4'] [data-value]", "^55$")


def test_keys_read_the_chart(visit: Open) -> None:
    page = visit("/sensors/1/?from=2026-10-24T07:50:00Z&to=2026-10-24T10:10:00Z", language="fr")
    page.locator("#chart").focus()
    page.keyboard.press("Home")
    expect(page.locator("#readout")).to_have_text(re.compile(r"^24 oct\. 2026, 07:50:00 UTC 2"))
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#readout")).to_have_text(re.compile(r"07:59 – .*10:00|07:59–10:00"))
    page.keyboard.press("End")
    expect(page.locator("#readout")).to_contain_text("10:09:00")
    page.keyboard.press("+")
    page.wait_for_url("**to=2026-10-24T10:10:00Z")
    assert address(page)[0] > datetime(2026, 10, 24, 9, tzinfo=UTC)


def test_an_empty_span_says_where_the_values_are(visit: Open) -> None:
    page = visit("/sensors/2/?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z")
    wait_for_text(page, "#message", "The last point is of 24 Oct 2026, 23:59")
    page.locator("#message button").click()
    page.wait_for_selector("#message[hidden]", state="attached")
    assert pixels(page, 0, 1) > 100


def test_a_failure_can_be_tried_again(visit: Open) -> None:
    page = visit(f"/sensors/1/?{DAY}")
    page.route("**/series/?**", lambda route: route.fulfill(status=502, body="<p>a proxy</p>"))
    page.locator("#wider").click()
    wait_for_text(page, "#message", "could not be fetched")
    page.unroute("**/series/?**")
    page.locator("#message button").click()
    page.wait_for_selector("#message[hidden]", state="attached")


@pytest.mark.parametrize("sensor", [1, 2], ids=["by the stream", "by asking"])
def test_new_values_come_by_themselves_none_missing_none_twice(visit: Open, site: Site, sensor: int) -> None:
    redis = Redis.from_url(site.environment["REDIS_URL"])

    def come(*ago: float) -> None:
        """As a worker does, each value 60 and how many seconds ago."""
        for seconds in ago:
            at = store(site, sensor, seconds, 60 + seconds)
            redis.publish(channel(redis), News({sensor: Newest(at, 60 + seconds, 1)}).pack())

    come(50, 40)
    context: dict[str, Any] = {}
    if sensor == 2:
        context["before"] = lambda page: page.route("**/live/?**", lambda route: route.fulfill(status=502))
    page = visit(f"/sensors/{sensor}/?range=15m", **context)
    page.locator("#table summary").click()
    come(20, 10)
    wait_for_text(page, "#value", r"^70$")
    come(30)  # late
    wait_for_text(page, "#table td.number", r"^90$")
    expect(page.locator("#table td.number")).to_have_text(["70", "80", "90", "100", "110"])
    drag(page, 0.2, 0.6)
    wait_for_text(page, "#lamp", "Paused")
    start, end = address(page)
    come(2, 1)
    wait_for_text(page, "#lamp", "Paused, 2 new")
    assert address(page) == (start, end)
    page.locator("#golive").click()
    wait_for_text(page, "#lamp", "Live")
    assert "range=15m" in page.url


@pytest.mark.parametrize("path", [f"/sensors/1/?{DAY}", f"/compare/?sensor=1&sensor=2&{DAY}"])
def test_a_phone_shows_all_and_scrolls(visit: Open, path: str) -> None:
    page = visit(path, width=390, language="fr", has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    small = page.evaluate(
        """() => [...document.querySelectorAll("main :is(button, a.button, input, select, summary)")]
            .filter((one) => one.checkVisibility())
            .filter((one) => (one.closest("label") ?? one).getBoundingClientRect().height < 43.5)
            .map((one) => one.outerHTML.slice(0, 80))"""
    )
    assert small == []
    chart = page.locator("[data-drawn]").first
    chart.scroll_into_view_if_needed()
    before, url = page.evaluate("scrollY"), page.url
    box = chart.bounding_box()
    finger = page.context.new_cdp_session(page)
    for kind, way in [("touchStart", 0), *(("touchMove", 20 * n) for n in range(1, 11))]:
        point = {"x": box["x"] + 150, "y": box["y"] + 200 - way}
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_for(lambda: page.evaluate("scrollY") > before + 100, "the page to scroll")
    assert page.url == url


def test_several_are_compared(visit: Open) -> None:
    page = visit(f"/compare/?sensor=1&{DAY}")
    page.locator("#q").fill("Humid")
    page.locator("#found a", has_text="Capteur Humidité Salon").click()
    page.wait_for_url("**sensor=1&**sensor=2**")
    page.wait_for_selector("[data-drawn]")
    expect(page.locator("[data-sensor='2'] [data-cell=max]")).to_have_text("52")
    expect(page.locator("[data-sensor='1'] [data-cell=covered]")).to_have_text("91.7%")
    page.locator(".canvas").focus()
    page.keyboard.press("Home")
    expect(page.locator("[data-sensor='2'] [data-cell=here]")).to_have_text(re.compile(r"^5"))
    page.locator("#wider").click()
    page.wait_for_url(lambda url: "from=2026-10-24T00" not in url)
    page.locator("[data-remove='1']").click()
    page.wait_for_url(lambda url: "sensor=1" not in url and "sensor=2" in url)
    assert "from=2026-10-23" in page.url
