"""The inbox as a person uses it: a sensor registered from the lobby, keys, and every page on a phone too."""

import json
from datetime import datetime
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import WIDTHS, Open
from tests.journey.system import Device, System, wait_for

pytestmark = pytest.mark.timeout(240)

INBOX = "/admin/monitoring/rejectedmessage/"
WAITING = f"{INBOX}?state__exact=waiting"
LOBBY = f"{INBOX}lobby/"
JOBS = "/admin/monitoring/job/"


def reject(system: System, device: Device, *payloads: bytes | str) -> None:
    """Publishes them, and waits until they wait."""
    before = system.query("SELECT count(*) FROM monitoring_rejectedmessage")[0][0]
    system.take(device, *payloads)
    wait_for(
        lambda: (
            system.query("SELECT count(*) FROM monitoring_rejectedmessage")[0][0] >= before + len(payloads)
        ),
        "the rejected messages",
    )


def reading(sensor: int, value: float, **more: object) -> str:
    return json.dumps({"sensor_id": sensor, "value": value, **more})


def newest(system: System, code: str) -> str:
    """The address of the page of the newest message with this code."""
    (found,) = system.query("SELECT max(id) FROM monitoring_rejectedmessage WHERE code = %s", code)
    return f"{INBOX}{found[0]}/change/"


def wait_until_done(page: Any) -> None:
    """On the page of a job, which asks for itself until the job is through."""
    page.wait_for_selector("#watched:not([data-watch])")


def test_a_sensor_is_registered_with_the_messages_that_waited(
    system: System, device: Device, tab: Open
) -> None:
    reject(system, device, *(reading(12, 20 + n, type="temperature", unit="°C") for n in range(3)))
    received = system.query(
        "SELECT received_at FROM monitoring_rejectedmessage WHERE sensors = '{12}' ORDER BY received_at DESC"
    )
    page = tab()
    page.goto(LOBBY)
    row = page.locator("#sensor-12")
    row.get_by_text("Approve…").click()
    expect(row.get_by_label("Kind")).to_have_value("temperature")
    row.get_by_label("Name").fill("Greenhouse")
    row.get_by_role("button", name="Register it").click()
    page.wait_for_url(f"**{JOBS}*/change/")
    wait_until_done(page)
    expect(page.get_by_text("3 stored")).to_be_visible()
    assert system.api("sensors/12/")["name"] == "Greenhouse"
    found = system.api("sensors/12/measurements/")
    assert [one["value"] for one in found] == [22, 21, 20]
    assert [datetime.fromisoformat(one["created_at"]) for one in found] == [at for (at,) in received]


def test_keys_go_through_the_inbox(system: System, device: Device, tab: Open) -> None:
    reject(
        system, device, '{"sensor_id": 1, "value": "x"}', '{"sensor_id": 2}', '{"sensor_id": 1, "value": "y"}'
    )
    page = tab()
    page.goto(INBOX)
    focused = "document.activeElement.closest('[data-row]') && [...document.querySelectorAll('[data-row]')]"
    place = f"({focused})?.indexOf(document.activeElement.closest('[data-row]')) ?? null"
    places = []
    for key in ("j", "j", "k", "k"):
        page.keyboard.press(key)
        places.append(page.evaluate(place))
    assert places == [0, 1, 0, 0]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus can be seen"
    page.keyboard.press("Enter")
    page.wait_for_url("**?code=*")
    page.goto(f"{INBOX}?code=bad_type&state__exact=waiting")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/change/**")
    page.keyboard.press("d")
    page.keyboard.type("jeredk")  # in a field keys are letters
    expect(page.get_by_label("Reason")).to_have_value("jeredk")
    page.get_by_label("Reason").fill("")
    page.get_by_label("Reason").evaluate("field => field.blur()")
    page.keyboard.press("e")
    payload = page.locator("[name=payload]")
    expect(payload).to_be_focused()
    payload.fill(reading(1, 7, ts=1_796_000_000))
    page.get_by_role("button", name="Dry run").click()
    page.get_by_text("Dry run: nothing has been changed.").wait_for()
    assert json.loads(page.locator("[name=payload]").input_value())["value"] == 7
    page.goto(newest(system, "bad_type"))
    here = page.url
    page.keyboard.press("j")
    page.wait_for_url(lambda url: url != here)
    page.keyboard.press("k")
    page.wait_for_url(here)
    page.keyboard.press("r")
    page.get_by_text("1 reading was rejected again: bad_type 1.").wait_for()


def test_many_are_dismissed(system: System, device: Device, tab: Open) -> None:
    reject(system, device, *("{" * n for n in range(1, 5)))
    page = tab()
    page.goto(f"{INBOX}?code=not_json&state__exact=waiting")
    page.get_by_label("all that wait").check()
    page.get_by_role("button", name="Dismiss…").click()
    page.get_by_text("4 messages wait.").wait_for()
    page.get_by_label("Reason").fill("a test")
    page.get_by_role("button", name="Dismiss them").click()
    page.wait_for_url(f"**{JOBS}*/change/")
    wait_until_done(page)
    expect(page.get_by_text("4 dismissed")).to_be_visible()


LONG = "a-topic-level-that-nothing-breaks/" * 8


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits(system: System, device: Device, tab: Open, width: int, theme: str) -> None:
    reject(
        system,
        device,
        *(json.dumps({"sensor_id": 2, "value": "x" * 500, "note": "n" * 900, "n": n}) for n in range(50)),
        *(reading(70 + n, n, type="k" * 60, unit="u" * 30) for n in range(3)),
        b"\xff\xfe" * 100,
        "[" + ",".join(["{}"] * 40) + "]",
        reading(1, 3, unit="F" * 30),
        '{"sensor_id": 1, "value": 1, "note": "' + "x" * 20_000 + '"}',
    )
    system.query(
        "UPDATE monitoring_rejectedmessage SET topic = %s WHERE code <> 'not_json' RETURNING 1", LONG
    )
    page = tab(width, color_scheme=theme)
    pages = [INBOX, WAITING, LOBBY, f"{LOBBY}?only=70", JOBS, "/admin/"]
    codes = ("bad_type", "not_utf8", "unknown_sensor", "unit_mismatch", "too_large")
    for url in [*pages, *(newest(system, code) for code in codes)]:
        page.goto(url)
        assert beyond(page) == [], f"{url} at {width}"
    page.goto(WAITING)
    expect(page.locator("[data-row]")).to_have_count(50)
    assert page.evaluate("document.documentElement.scrollHeight") < 8600
    for row in page.locator("[data-row]").all()[:3]:
        assert row.bounding_box()["height"] < 120
        row.locator("summary").click()
    assert beyond(page) == []


def beyond(page: Any) -> list[str]:
    """What reaches past the right edge, and no box of its own scrolls."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("#main *")].filter((element) => {
            const box = element.getBoundingClientRect();
            if (!box.width || box.right <= innerWidth + 1) return false;
            for (let at = element.parentElement; at; at = at.parentElement) {
                const isBox = getComputedStyle(at).overflowX !== "visible";
                if (isBox && at.getBoundingClientRect().right <= innerWidth + 1) return false;
            }
            return true;
        }).map((element) => element.outerHTML.slice(0, 120))"""
    )
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("the page scrolls")
    return found
