"""The pages as a person keeps them open: the first value, the list that keeps itself up, Back, and axe."""

import json
import re
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from monitoring.live.channel import Newest, News, channel
from tests.browser.conftest import Open
from tests.journey.system import PROJECT, Device, System, wait_for

pytestmark = pytest.mark.timeout(240)

AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
OURS = (
    "/",
    "/start/",
    "/map/",
    "/wall/",
    "/pipeline/",
    "/sensors/1/",
    "/compare/?sensor=1&sensor=2",
    "/login/",
    "/preferences/",
)


@pytest.fixture
def anyone(browser: Any, system: System) -> Iterator[Open]:
    """anyone(width=…): a page, not signed in. Nothing foreign is asked for, and no console complains."""
    contexts, complaints = [], []
    home = f"http://127.0.0.1:{system.web_port}"

    def open_page(width: int = 1400, **more: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, base_url=home, **more)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda asked: asked.url.startswith((home, "data:", "blob:")) or complaints.append(asked.url),
        )
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def reading(value: float, sensor: int = 1, **more: object) -> str:
    return json.dumps({"sensor_id": sensor, "type": "temperature", "value": value, "unit": "°C", **more})


@pytest.fixture
def nothing_stored(system: System) -> None:
    for statement in (
        "DELETE FROM monitoring_measurement RETURNING 1",
        "DELETE FROM monitoring_rejectedmessage RETURNING 1",
        "UPDATE monitoring_sensorstatus SET status = 'never' WHERE status <> 'off' RETURNING 1",
    ):
        system.query(statement)


def test_the_first_value_replaces_the_way_to_it_without_a_reload(
    system: System, device: Device, anyone: Open, nothing_stored: None
) -> None:
    page = anyone(permissions=["clipboard-read", "clipboard-write"])
    page.goto("/")
    page.evaluate("window.isTheSame = true")
    host, port = system.broker.url.removeprefix("mqtt://").split(":")
    command = page.locator("#publish").inner_text()
    assert command.startswith(f"mosquitto_pub -h {host} -p {port} -q 1 -t iot/measurements -m ")
    page.locator("[data-copy='#publish']").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == command
    # A payload that is wrong says so at once.
    device.publish('{"sensor_id": 1, "value": ')
    page.get_by_text("not_json").wait_for(timeout=60_000)
    payload = command.split(" -m ", 1)[1].strip("'")
    device.publish(payload)
    row = page.locator("tr[data-sensor='1']")
    row.get_by_text("21.5").wait_for(timeout=60_000)
    assert page.evaluate("window.isTheSame")


def test_values_change_where_they_stand(system: System, device: Device, anyone: Open) -> None:
    system.take(device, reading(20.25), reading(3, sensor=2, type="humidity", unit="%"))
    page = anyone()
    page.goto("/")
    page.locator("#live", has_text="Live").wait_for()
    order = [row.get_attribute("data-sensor") for row in page.locator("tr[data-sensor]").all()]
    device.publish(reading(22.75))
    page.locator("tr[data-sensor='1']").get_by_text("22.75").wait_for(timeout=60_000)
    expect(page.locator("tr[data-sensor='1'] time")).to_have_text(re.compile(r"^\d sec"))
    assert [row.get_attribute("data-sensor") for row in page.locator("tr[data-sensor]").all()] == order


def since(system: System, moment_ms: int, query: str) -> str:
    """What the stream has since then."""
    text: bytes = system.get(f"/live/?once=1&after={moment_ms}&{query}", raw=True)
    return text.decode()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def listening(system: System, browser: Any) -> Iterator[None]:
    """The web process has somebody who watches, and has heard all for long enough: whoever comes now and says
    from when on gets what is new since, and who does not say it gets what comes."""
    context = browser.new_context(base_url=f"http://127.0.0.1:{system.web_port}")
    context.new_page().goto("/map/")
    # Where it is not sure to have heard all, it gives no id.
    wait_for(lambda: since(system, now_ms(), "topics=changes").startswith("id: "), "the stream")
    yield
    context.close()


def publish(system: System, news: News, said: str) -> None:
    """As a worker does, and then a frame has it."""
    before, redis = now_ms(), system.store.redis
    redis.publish(channel(redis), news.pack())
    wait_for(lambda: said in since(system, before, "ids=1"), "a frame with it")


@pytest.fixture
def held(system: System, device: Device, anyone: Open, listening: None) -> Callable[[str, News, str], Any]:
    """held(path, news, said): a page whose stream begins once `news`, which reads as `said`, has been sent to
    those who watched already."""
    system.take(device, reading(20.5))

    def open_page(path: str, news: News, said: str) -> Any:
        page, waiting = anyone(), []
        page.route("**/live/?*", lambda route: waiting.append(route), times=1)
        page.goto(path)
        while not waiting:
            page.wait_for_timeout(20)  # only in its own calls does playwright hand over what happened
        publish(system, news, said)
        waiting[0].continue_()
        return page

    return open_page


def test_a_value_between_the_list_and_its_stream_is_not_missed(held: Callable[[str, News, str], Any]) -> None:
    page = held("/", News(stored={1: Newest(time.time_ns() // 1000, 24.25, 1)}), "24.25")
    page.locator("tr[data-sensor='1']").get_by_text("24.25").wait_for(timeout=60_000)


def test_a_state_between_the_map_and_its_stream_is_not_missed(held: Callable[[str, News, str], Any]) -> None:
    page = held("/map/", News(changed={1: "late"}), '{"1":"late"}')
    page.locator("#live", has_text="Live").wait_for()
    places = page.evaluate("fetch('/map/cells/').then((answer) => answer.json())")["places"]
    page.locator("canvas").focus()
    for _ in range([id for place in places for id in place["ids"]].index(1) + 1):
        page.keyboard.press("ArrowRight")
    page.locator(".cell-said", has_text="Capteur Temp Salon: Late").wait_for(timeout=60_000)


def test_search_page_and_back(system: System, device: Device, anyone: Open) -> None:
    system.query(
        "INSERT INTO monitoring_sensor (name, kind, unit, is_active, location, added_at)"
        " SELECT 'Orchard row ' || n, '', '', true, 'Row ' || mod(n, 3), now() FROM generate_series(1, 130) n"
        " RETURNING 1"
    )
    try:
        system.take(device, reading(20.5))
        page = anyone()
        page.goto("/")
        page.keyboard.press("/")
        page.keyboard.type("orchard")
        page.wait_for_url("**/?q=orchard*")
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="3").click()
        page.wait_for_url("**page=3*")
        page.get_by_text("101 to 130 of 130").wait_for()
        page.get_by_role("link", name="Orchard row 101", exact=True).click()
        page.wait_for_url("**/sensors/*/")
        page.go_back()
        page.get_by_text("101 to 130 of 130").wait_for()
        expect(page.locator("#q")).to_have_value("orchard")
        expect(page.locator("tr[data-sensor]")).to_have_count(30)
    finally:
        system.query("DELETE FROM monitoring_sensor WHERE name ~ '^Orchard row ' RETURNING 1")


def test_an_outage_of_the_site_is_said_and_heals(system: System, device: Device, browser: Any) -> None:
    system.take(device, reading(20.5))
    context = browser.new_context(base_url=f"http://127.0.0.1:{system.web_port}")
    page = context.new_page()
    page.goto("/")
    page.locator("#live", has_text="Live").wait_for()
    system.kill("web")
    page.locator("#live", has_text="Connection lost").wait_for(timeout=60_000)
    device.publish(reading(23.125))
    system.start("web")
    page.locator("#live", has_text="Live").wait_for(timeout=60_000)
    page.locator("tr[data-sensor='1']").get_by_text("23.125").wait_for(timeout=60_000)
    context.close()


def test_a_zone_is_the_browsers_until_one_is_chosen_and_then_that(system: System, anyone: Open) -> None:
    """Their names have a slash, which a cookie may hold in more than one way."""
    page = anyone(timezone_id="America/Argentina/Ushuaia")
    page.goto("/preferences/")
    page.locator("html[data-zone='America/Argentina/Ushuaia']").wait_for()
    page.goto("/?q=hall")
    expect(page.locator("html")).to_have_attribute("data-zone", "America/Argentina/Ushuaia")
    page.get_by_role("link", name="Language, time zone, colours").click()
    page.get_by_label("Time zone").select_option("Pacific/Chatham")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/?q=hall")
    for path in ("/", "/map/"):
        page.goto(path)
        expect(page.locator("html")).to_have_attribute("data-zone", "Pacific/Chatham")
    page.goto("/preferences/")
    page.get_by_label("Time zone").select_option("auto:")
    page.get_by_role("button", name="Save").click()
    page.locator("html[data-zone='America/Argentina/Ushuaia']").wait_for()


@pytest.mark.parametrize(
    ("width", "theme", "locale"),
    [
        (1400, "light", "en-GB"),
        (1400, "dark", "fr-FR"),
        (390, "light", "fr-FR"),
        (390, "dark", "en-GB"),
    ],
)
def test_axe_finds_nothing_serious(
    system: System, device: Device, anyone: Open, width: int, theme: str, locale: str
) -> None:
    system.take(device, reading(20.5))
    axe, found = Path(AXE).read_text(), []
    page = anyone(width, color_scheme=theme, locale=locale, bypass_csp=True)
    for path in OURS:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        assert page.locator("html").get_attribute("lang") == locale[:2]
        page.evaluate(axe)
        found += [
            (path, one["id"], one["nodes"][0]["target"], one["nodes"][0].get("failureSummary", ""))
            for one in page.evaluate("axe.run().then((found) => found.violations)")
            if one["impact"] in ("serious", "critical")
        ]
    assert found == []


def test_who_is_signed_out_watches_nothing_where_reading_is_not_public(system: System) -> None:
    system.kill("web")
    try:
        system.start("web", API_PUBLIC_READ="0")
        with pytest.raises(urllib.error.HTTPError) as refused:
            system.get("/live/?ids=1")
        assert refused.value.code == 401
    finally:
        system.kill("web")
        system.start("web")
