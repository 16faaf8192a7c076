"""Pictures of the pages: both themes, both languages, a desk and a phone.

    python -m bench.screenshots [--all]

(or: make screenshots.) Needs Debian's chromium. The two of the README go to docs/; with --all every page in
every way and in its whole length goes to .data/screenshots/, to be looked at.
"""

import argparse
import shutil
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from bench import demo
from tests.journey.system import PROJECT, System, wait_for

PAGES = {
    "overview": "/",
    "sensor": "/sensors/4/",
    "compare": "/compare/?sensor=1&sensor=4&sensor=2",
    "map": "/map/",
    "alerts": "/alerts/",
    "rules": "/alerts/rules/",
    "rule": "/alerts/rules/new/?sensor=4&above=22.5",
    "silences": "/alerts/silences/",
    "channels": "/alerts/channels/",
    "pipeline": "/pipeline/",
    "wall": "/wall/",
    "start": "/start/",
    "preferences": "/preferences/",
    "login": "/login/",
}
# What the README shows: file, page, width, theme, language.
SHOWN = (("overview.png", "overview", 1400, "light", "en"), ("sensor.png", "sensor", 1400, "dark", "en"))
# Of somebody who is signed in: others are sent to the login.
SIGNED_IN = {"rule", "silences", "channels"}
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every page in every way, to .data/screenshots/")
    asked = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("✗ there is no browser: apt install chromium")
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        system = System(Path(folder), TIME_ZONE="Europe/Paris", LANGUAGE_CODE="en")
        try:
            demo.fill(system, sensors=66)
            demo.alert(system)
            for name in ("web", "bridge", "worker", "upkeep", "beat"):
                system.start(name)
            system.processes["simulator"] = system.run(
                "manage.py", "simulate", "--boards", "19"
            )  # of 66 sensors: some are silent
            wait_for(lambda: _states(system).get("silent"), "the states of the sensors", 120)
            wait_for(lambda: system.rest()["ledger"]["stored"] > 400, "measurements", 120)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
                _take(browser, system, everything=asked.all)
                browser.close()
        finally:
            system.stop()


def _take(browser: Any, system: System, *, everything: bool) -> None:
    wanted = [(PROJECT / "docs" / file, *rest) for file, *rest in SHOWN]
    if everything:
        folder = PROJECT / ".data" / "screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        wanted = [
            (folder / f"{page}-{width}-{theme}-{language}.png", page, width, theme, language)
            for page, width, theme, language in product(PAGES, (1400, 390), ("light", "dark"), ("en", "fr"))
        ]
    cookies = _sign_in(browser, system) if any(page in SIGNED_IN for _, page, *_ in wanted) else []
    for file, page, width, theme, language in wanted:
        context = browser.new_context(
            base_url=f"http://127.0.0.1:{system.web_port}",
            viewport={"width": width, "height": 880},
            color_scheme=theme,
            locale={"en": "en-GB", "fr": "fr-FR"}[language],
            timezone_id="Europe/Paris",
        )
        if page in SIGNED_IN:
            context.add_cookies(cookies)
        tab = context.new_page()
        tab.goto(PAGES[page], wait_until="load")
        tab.wait_for_timeout(1500)  # of drawing, and the first words of the stream
        tab.screenshot(path=str(file), full_page=everything)
        print(file.relative_to(PROJECT))
        context.close()


def _sign_in(browser: Any, system: System) -> Any:
    context = browser.new_context(base_url=f"http://127.0.0.1:{system.web_port}")
    tab = context.new_page()
    tab.goto("/login/?next=/alerts/")
    tab.fill("[name=username]", "admin")
    tab.fill("[name=password]", (Path(system.folder) / "data" / "admin-password").read_text().strip())
    tab.click("main [type=submit], main button.primary")
    tab.wait_for_url("**/alerts/")
    cookies = context.cookies()
    context.close()
    return cookies


def _states(system: System) -> dict[str, int]:
    return dict(system.query("SELECT status, count(*) FROM monitoring_sensorstatus GROUP BY 1"))


if __name__ == "__main__":
    main()
