"""The pipeline's page as somebody keeps it open: it keeps itself up, and says when it cannot."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.journey.system import Device, System, wait_for

pytestmark = pytest.mark.timeout(240)


def test_it_keeps_itself_up_and_says_when_it_cannot(system: System, device: Device, browser: Any) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 700}, base_url=f"http://127.0.0.1:{system.web_port}"
    )
    page = context.new_page()
    try:
        page.goto("/pipeline/?hours=24&table=1")
        lamp, asked = page.locator("#live"), page.locator(".tile").first.locator("b")
        expect(lamp).to_have_text("Live")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        before = int(asked.inner_text().replace(",", ""))
        page.locator("#steps").evaluate("steps => steps.scrollTo(20, 300)")
        page.locator("#as-table").focus()
        system.take(device, "{", '{"sensor_id": 3, "value": 1}')
        wait_for(lambda: int(asked.inner_text().replace(",", "")) >= before + 2, "the new figure")
        # What somebody had before them stays.
        assert page.locator("#steps").evaluate("steps => [steps.scrollLeft, steps.scrollTop]") == [20, 300]
        expect(page.locator("#as-table")).to_be_focused()
        system.kill("web")
        lamp.get_by_text("Connection lost").wait_for(timeout=60_000)
        system.start("web")
        lamp.get_by_text("Live", exact=True).wait_for(timeout=60_000)
    finally:
        context.close()


def test_bars_say_what_they_are(system: System, device: Device, browser: Any) -> None:
    system.take(device, "{", '{"sensor_id": 3, "value": 1}')
    context = browser.new_context(base_url=f"http://127.0.0.1:{system.web_port}")
    page = context.new_page()
    try:
        page.goto("/pipeline/?hours=1")
        expect(page.locator("svg.bars")).to_have_count(2)
        for bars in page.locator("svg.bars").all():
            box, plot = bars.bounding_box(), bars.locator("..").bounding_box()
            assert box["height"] <= plot["height"]
            bar = bars.locator("path.code-1").last.bounding_box()
            assert bar["height"] >= 1
            assert box["y"] <= bar["y"] + 1 <= box["y"] + box["height"]
        page.locator("#as-table").click()
        page.locator("#steps").wait_for()
        expect(page).to_have_url(re.compile(r"\?hours=1&table=1$"))
    finally:
        context.close()
