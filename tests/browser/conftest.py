"""The admin in a real browser, Debian's Chromium, with everything behind it running."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.alerts.receivers import Mail
from tests.journey.system import Device, System

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
# From a full window to a phone.
WIDTHS = (1280, 390)

Open = Callable[..., Any]


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """BROWSER_TESTS=always fails without one, rather than leave these tests out."""
    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if executable is None:
        without = pytest.fail if os.environ.get("BROWSER_TESTS") == "always" else pytest.skip
        without(f"wants a browser on the PATH, one of {', '.join(CHROMIUM)} (apt install chromium)")
    # What a page does by itself, it does when the machine lets it.
    expect.set_options(timeout=45_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def mail() -> Iterator[Mail]:
    """The server that the system sends its mails to."""
    mail = Mail()
    mail.start()
    yield mail
    mail.stop()


@pytest.fixture(scope="package")
def system(browser: Any, mail: Mail, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """After the browser: where there is none, nothing is started."""
    system = System(tmp_path_factory.mktemp("system"), EMAIL_URL=f"smtp://127.0.0.1:{mail.port}")
    try:
        for name in ("web", "bridge", "worker", "upkeep"):
            system.start(name)
        yield system
    finally:
        system.stop()


@pytest.fixture
def device(system: System) -> Iterator[Device]:
    device = Device(system.broker.url)
    yield device
    device.close()


@pytest.fixture(scope="package")
def cookies(browser: Any, system: System) -> Any:
    """The admin's, who signs in once."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{system.web_port}/admin/login/?next=/admin/")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", (Path(system.folder) / "data" / "admin-password").read_text().strip())
    page.click("[type=submit]")
    page.wait_for_url("**/admin/")
    cookies = context.cookies()
    context.close()
    return cookies


@pytest.fixture
def tab(browser: Any, system: System, cookies: Any) -> Iterator[Open]:
    """tab(width=…): a page of the admin, signed in. In the end no console may have complained."""
    contexts, complaints = [], []

    def open_tab(width: int = 1280, **more: Any) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, base_url=f"http://127.0.0.1:{system.web_port}", **more
        )
        context.add_cookies(cookies)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda said: (
                complaints.append(f"{said.text} {said.location}")
                if said.type in ("error", "warning")
                else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_tab
    for context in contexts:
        context.close()
    assert complaints == []
