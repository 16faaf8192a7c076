"""From a curve to a rule to a mail, and to an incident that is seen to; and what axe finds on the pages of
alerts.

The package's whole system, signed in as its admin.
"""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.alerts.receivers import Mail
from tests.browser.conftest import Open
from tests.journey.system import PROJECT, Device, System, wait_for

pytestmark = pytest.mark.timeout(240)

AXE = (PROJECT / "node_modules" / "axe-core" / "axe.min.js").read_text()
SENSOR = 777

# A wave between 10 and 30, a reading a minute over two days.
ROWS = """
from datetime import UTC, datetime, timedelta
from math import sin
from monitoring.models import AlertChannel, AlertRule, Sensor
from monitoring.rollups.refresh import refresh
from monitoring.upkeep.partitions import ensure_partitions
from tests.rollups.rows import store
now, minute = datetime.now(UTC), timedelta(minutes=1)
ensure_partitions(now - timedelta(days=3), now + timedelta(days=1))
where = {"unit": "°C", "location": "Cellar"}
Sensor.objects.register([Sensor(id=777, name="Cellar wave", kind="temperature", **where)])
store([(777, now - n * minute, round(20 + 10 * sin(n / 200), 1)) for n in range(1, 2880)], "°C")
while refresh().batches:
    pass
AlertChannel.objects.create(name="Duty phone", kind="ntfy", settings={"topic": "attic"})
"""
# A silence of a location, and who paints there.
SILENT = """
from datetime import UTC, datetime, timedelta
from monitoring.models import Incident, Mute
now = datetime.now(UTC)
since = now - timedelta(minutes=30)
whole = Incident.objects.create(title="Silent", kind="silence", severity="warning", subject="location:Cellar",
    since=since, fired_at=since, seen_at=now)
Incident.objects.create(title="Silent", kind="silence", severity="warning", sensor_id=777, part_of=whole,
    subject="sensor:777", since=since, fired_at=since, seen_at=now)
Mute.objects.create(location="Cellar", starts_at=since, ends_at=now + timedelta(hours=1), comment="Painters")
"""
GONE = """
from monitoring.models import AlertChannel, AlertRule, Incident, Mute
for model in (Incident, Mute, AlertChannel):
    model.objects.all().delete()
AlertRule.objects.filter(sensor=777).delete()
"""


@pytest.fixture(scope="module")
def wave(system: System) -> Iterator[System]:
    """The system with a sensor that has a curve; without what this module made in the end."""
    system.manage("shell", "-v0", "-c", ROWS)
    yield system
    system.manage("shell", "-v0", "-c", GONE)


def test_from_a_curve_to_a_rule_to_a_mail(wave: System, tab: Open, mail: Mail, device: Device) -> None:
    page = tab(width=1280)

    # Whom to tell, and a test of it.
    page.goto("/alerts/channels/new/?kind=email")
    page.get_by_label("Name", exact=True).fill("Duty mail")
    page.get_by_label("To", exact=True).fill("duty@example.org")
    page.get_by_label("Gather for, in seconds").fill("0")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/alerts/channels/")
    page.locator(".channel", has_text="Duty mail").get_by_role("button", name="Send a test").click()
    page.get_by_text("The test was sent.").wait_for()
    assert [to for to, _message in mail.seen] == [["duty@example.org"]]

    page.goto(f"/sensors/{SENSOR}/?range=24h")
    page.wait_for_selector("#chart[data-drawn]")

    # A height of the chart, with the mouse and with the keys.
    over = page.locator("#chart .u-over")
    box = over.bounding_box()
    over.click(position={"x": box["width"] / 2, "y": box["height"] / 4})
    page.locator("#picked").get_by_text("Alert me at").wait_for()
    page.locator("#unpick").click()
    expect(page.locator("#chart")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.locator("#picked").get_by_role("link", name="above here").click()

    # The form has what was chosen; the rule is tried before anybody asks.
    page.wait_for_url(re.compile(rf"/alerts/rules/new/\?sensor={SENSOR}&above="))
    page.wait_for_selector("#chart[data-drawn]")
    high = page.locator("[name=high]")
    assert float(high.input_value()) == pytest.approx(float(page.url.rpartition("=")[2]))
    tried = page.locator("#tried .verdict")
    tried.wait_for()

    # The line is moved by keys and by the mouse; what it would have fired for follows.
    line = page.get_by_role("slider", name="Alert me above")
    line.focus()
    before = float(high.input_value())
    page.keyboard.press("ArrowUp")
    assert float(high.input_value()) > before
    plot = page.locator("#chart .u-over").bounding_box()
    handle = line.bounding_box()
    middle = handle["x"] + handle["width"] / 2
    page.mouse.move(middle, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    page.mouse.move(middle, plot["y"] + plot["height"] / 4, steps=4)
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.mouse.up()
    assert 20 < float(high.input_value()) < 29
    expect(line).to_have_attribute("aria-valuenow", high.input_value())
    tried.get_by_text("would have fired").wait_for()
    spans = wait_for(lambda: json.loads(page.locator("#tried-spans").text_content()), "spans")
    assert all(one["from"] < one["to"] for one in spans if one["to"])

    # Another kind has other fields, and the first one's again.
    page.get_by_label("What", exact=True).select_option("silence")
    expect(page.locator("[name=limit_s_amount]")).to_be_visible()
    expect(high).to_be_hidden()
    expect(line).to_be_hidden()
    page.get_by_label("What", exact=True).select_option("above")
    expect(high).to_be_visible()
    page.get_by_label("Duty mail").check()
    page.get_by_label("Name", exact=True).fill("Cellar too warm")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/alerts/")
    page.get_by_text("“Cellar too warm” is saved").wait_for()

    # It fires: a mail says so, and the page.
    wave.start("beat")
    try:
        device.publish(f'{{"sensor_id": {SENSOR}, "value": 31.5}}')
        wait_for(lambda: len(mail.seen) == 2, "a mail")
    finally:
        wave.terminate("beat")
    recipients, message = mail.seen[-1]
    assert recipients == ["duty@example.org"]
    assert "Cellar too warm" in message["Subject"]
    assert "31.5" in message.get_content()
    wave.manage("shell", "-v0", "-c", SILENT)
    page.goto("/map/")
    page.locator("[data-open-incidents] b", has_text="2").wait_for()
    page.goto("/alerts/")
    fires = page.locator(".incident", has_text="Cellar too warm")
    fires.get_by_text("31.5\u00a0°C").wait_for()

    # Somebody sees to it.
    fires.locator(".acknowledge summary").click()
    fires.get_by_label("Comment").fill("On my way")
    # What somebody writes is not taken away by what is asked meanwhile.
    page.evaluate("htmx.trigger('#firing', 'htmx:trigger')")
    fires.get_by_role("button", name="I see to it").click()
    fires.get_by_text("On my way").wait_for()
    page.locator(".parts summary").click()
    page.get_by_role("link", name="Cellar wave").last.wait_for()
    fires.get_by_role("link", name="Cellar wave").click()

    # And the curve shows it.
    page.wait_for_selector("#chart[data-drawn]")
    page.locator("#firing").get_by_text("Cellar too warm").wait_for()
    page.locator("#incidents", has_text="2 incidents in this span").wait_for()
    page.locator("#chart").focus()
    page.keyboard.press("End")
    page.locator("#readout").get_by_text("Cellar too warm").wait_for()


@pytest.mark.parametrize(
    ("width", "theme", "locale"),
    [
        (1400, "light", "en-GB"),
        (1400, "dark", "fr-FR"),
        (390, "light", "fr-FR"),
        (390, "dark", "en-GB"),
    ],
)
def test_axe_finds_nothing_serious(wave: System, tab: Open, width: int, theme: str, locale: str) -> None:
    page, found = tab(width=width, color_scheme=theme, locale=locale), []
    page.goto("/alerts/rules/")
    rule = page.locator("th.main a").first.get_attribute("href")
    for path in (
        *("/alerts/", "/alerts/rules/", rule, f"/alerts/rules/new/?sensor={SENSOR}&above=25"),
        *("/alerts/silences/", "/alerts/silences/new/", "/alerts/channels/"),
        *("/alerts/channels/new/", "/alerts/channels/new/?kind=ntfy", f"/sensors/{SENSOR}/"),
    ):
        page.goto(path)
        for details in page.locator("main details").all():
            details.evaluate("one => (one.open = true)")
        if "sensor" in path:
            page.wait_for_selector("#chart[data-drawn]")
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
        page.evaluate(AXE)
        found += [
            (path, one["id"], [node["html"][:120] for node in one["nodes"]])
            for one in page.evaluate("axe.run().then((found) => found.violations)")
            if one["impact"] in ("serious", "critical")
        ]
    assert found == []


def test_without_a_script_a_rule_is_tried_and_made(wave: System, tab: Open) -> None:
    page = tab(java_script_enabled=False)
    page.goto("/alerts/rules/new/?kind=silence")
    page.get_by_label("What", exact=True).select_option("stuck")
    page.get_by_role("button", name="Show its fields").click()
    page.get_by_label("Values may lie apart by").fill("0,1")
    page.get_by_label("Sensor", exact=True).fill(str(SENSOR))
    page.get_by_label("Measured over").fill("30")
    page.get_by_role("button", name="Try it").click()
    page.locator(".verdict").wait_for()
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/alerts/")
    page.locator(".banner.good").wait_for()
