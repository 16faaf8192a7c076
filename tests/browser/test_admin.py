"""The admin by keys alone, on a phone, and as a reader of screens has it."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.test_inbox import beyond, reading, reject
from tests.journey.system import Device, System, wait_for

pytestmark = pytest.mark.timeout(240)

AXE = (Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js").read_text()
INDEX, SENSORS, LEDGER = "/admin/", "/admin/monitoring/sensor/", "/admin/monitoring/ingestbatch/"
MEASUREMENTS, INBOX = "/admin/monitoring/measurement/", "/admin/monitoring/rejectedmessage/"
SENSOR = f"{SENSORS}1/change/"
DARK = re.compile(r"\bdark\b")
LISTS = (SENSORS, MEASUREMENTS, INBOX, f"{INBOX}?state__exact=waiting", LEDGER)


def focused(page: Any) -> str:
    """The name of what has the focus, as it is read out."""
    text: str = page.evaluate(
        "(({ariaLabel, innerText}) => (ariaLabel || innerText || '').trim().replace(/\\s+/g, ' '))"
        "(document.activeElement)"
    )
    return text


def tab_to(page: Any, name: str, most: int = 60) -> None:
    """Tab, and again, until what is called that has the focus."""
    seen = []
    for _ in range(most):
        page.keyboard.press("Tab")
        seen.append(focused(page))
        if name in seen[-1]:
            return
    raise AssertionError(f"{name} is not among {seen}")


def test_keys_go_past_the_navigation(tab: Open) -> None:
    page = tab()
    page.goto(INDEX)
    page.keyboard.press("Tab")
    assert focused(page) == "To the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    assert "Silent" in focused(page)


def test_keys_filter_a_list(tab: Open) -> None:
    page = tab()
    for url in (SENSORS, LEDGER):
        page.goto(url)
        tab_to(page, "Filters")
        page.keyboard.press("Enter")
        page.wait_for_function("document.activeElement.closest('[role=dialog]')")
        # The focus stays within, whichever way it goes.
        for key in ("Shift+Tab", "Tab", "Tab"):
            page.keyboard.press(key)
            assert page.evaluate("document.activeElement.closest('[role=dialog]') !== null"), focused(page)
        page.keyboard.press("Escape")
        page.wait_for_function("document.activeElement.innerText.trim().startsWith('Filters')")
        expect(page.locator("#changelist-filter")).to_be_hidden()
    page.goto(SENSORS)
    tab_to(page, "Filters")
    page.keyboard.press("Space")
    page.wait_for_function("document.activeElement.closest('[role=dialog]')")
    tab_to(page, "No", 20)
    page.keyboard.press("Enter")
    page.wait_for_url("**?is_active__exact=0**")


def test_keys_choose_theme_and_language_and_log_out(tab: Open) -> None:
    page = tab(color_scheme="light")
    page.goto(SENSORS)
    expect(page.locator("html")).not_to_have_class(DARK)
    tab_to(page, "Theme, language, log-out")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.innerText.includes('Light')")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("document.documentElement.classList.contains('dark')")
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement.id === 'user-button'")
    expect(page.locator("#user-links")).to_be_hidden()
    # The dashboard has the same theme from then on, and the other way round.
    page.goto("/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.context.add_cookies([{"name": "theme", "value": "light", "url": page.url}])
    page.goto(SENSORS)
    expect(page.locator("html")).not_to_have_class(DARK)
    tab_to(page, "Theme, language, log-out")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.innerText.includes('Light')")
    tab_to(page, "Français", 5)
    page.keyboard.press("Enter")
    page.wait_for_function("document.documentElement.lang === 'fr'")
    expect(page).to_have_url(re.compile(f"{SENSORS}$"))


def test_keys_open_and_close_the_navigation_of_a_phone(tab: Open) -> None:
    page = tab(390)
    page.goto(INDEX)
    expect(page.locator("#nav-sidebar")).to_be_hidden()
    tab_to(page, "Navigation")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.closest('#nav-sidebar')")
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement.ariaLabel === 'Navigation'")
    expect(page.locator("#nav-sidebar")).to_be_hidden()


@pytest.fixture
def rows(system: System, device: Device) -> None:
    """Of each list some: measurements, a rejected message, batches."""
    system.take(device, *(reading(1, 20 + n) for n in range(3)))
    reject(system, device, '{"sensor_id": 1, "value": "x"}')
    wait_for(
        lambda: system.query("SELECT count(*) FROM monitoring_measurement WHERE sensor_id = 1")[0][0] >= 3,
        "measurements",
    )


def test_a_sensors_page_has_the_dashboards_chart(rows: None, system: System, tab: Open) -> None:
    system.manage("shell", "-c", "from monitoring.rollups.refresh import refresh; refresh()")
    page = tab()
    page.goto(SENSOR)
    page.wait_for_selector("#day-chart[data-drawn] canvas")
    expect(page.locator("#day-chart svg")).to_have_count(0)
    over = page.locator("#day-chart .u-over").bounding_box()
    middle = over["y"] + over["height"] / 2
    page.mouse.move(over["x"] + over["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(over["x"] + over["width"] - 20, middle, steps=5)
    page.mouse.up()
    page.wait_for_url("**/sensors/1/?from=*")


def test_lists_are_read_on_a_phone_without_scrolling_sideways(rows: None, tab: Open) -> None:
    page = tab(390)
    for url in LISTS:
        page.goto(url)
        assert beyond(page) == [], url
        cards = page.locator("#result_list .data-row, [data-row]")
        assert cards.first.bounding_box()["height"] < 340, url
        clipped = cards.first.evaluate(
            "card => [...card.children].filter(one => one.scrollHeight > one.clientHeight + 2)"
            ".map(one => one.outerHTML)"
        )
        assert clipped == [], url


@pytest.mark.parametrize(("width", "scheme", "locale"), [(390, "light", "fr"), (1280, "dark", "en")])
def test_nothing_serious_is_wrong_for_readers_of_screens(
    rows: None, tab: Open, width: int, scheme: str, locale: str
) -> None:
    page = tab(width, color_scheme=scheme, locale=locale)
    for url in (INDEX, SENSOR, *LISTS):
        page.goto(url)
        page.wait_for_function("!document.documentElement.hasAttribute('x-cloak')")
        page.evaluate(AXE)
        found = page.evaluate(
            "axe.run({resultTypes: ['violations']}).then(({violations}) => violations"
            ".filter(({impact}) => ['serious', 'critical'].includes(impact))"
            ".map(({id, nodes}) => [id, nodes.map(({html}) => html.slice(0, 200))]))"
        )
        assert found == [], f"{url} at {width}, {scheme}"
