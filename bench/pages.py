"""What the pages cost: bytes on the wire, milliseconds until they are answered and drawn, queries.

    python -m bench.pages [--sensors 10000]

(or: make bench-pages.) Over HTTP on a kept-alive connection, and in Debian's chromium where it is there. Exit
code 1 where a page is beyond its budget.
"""

import argparse
import gzip
import http.client
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench import demo
from bench.screenshots import FLAGS
from tests.journey.system import System

ROUNDS = 15


class Budget(NamedTuple):
    """`kilobytes`: of the page and all that it loads, in gzip. `ms`: until the answer is there."""

    title: str
    path: str
    kilobytes: int
    ms: int | None


BUDGETS = (
    Budget("/", "/", 60, 150),
    Budget("/ last page", "/?page=200", 60, 500),
    Budget("/ by place", "/?sort=place", 60, 150),
    Budget("/sensors/3/", "/sensors/3/", 80, None),
    Budget("/pipeline/", "/pipeline/", 60, None),
    Budget("/map/", "/map/", 60, None),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sensors", type=int, default=10_000)
    asked = parser.parse_args()
    beyond = False
    with tempfile.TemporaryDirectory() as folder:
        system = System(Path(folder))
        try:
            demo.fill(system, asked.sensors, days=2)
            system.query(
                "UPDATE monitoring_sensorstatus SET status = 'ok' WHERE sensor_id <= 5000 RETURNING 1"
            )
            system.manage("collectstatic", "--noinput", "-v0")
            system.start("web")
            drawn = _drawn(system)
            print(f"{asked.sensors:,} sensors; medians of {ROUNDS}\n")
            print(f"{'page':<16}{'KB gzip':>9}{'ms':>8}{'first chart, ms':>18}")
            for budget in BUDGETS:
                kilobytes, ms = _weight(system, budget.path), _time(system, budget.path)
                is_beyond = kilobytes > budget.kilobytes or (budget.ms is not None and ms > budget.ms)
                beyond = beyond or is_beyond
                chart = f"{drawn[budget.path]:.0f}" if budget.path in drawn else ""
                print(
                    f"{budget.title:<16}{kilobytes:>9.1f}{ms:>8.1f}{chart:>18}"
                    f"   budget {budget.kilobytes} KB{f', {budget.ms} ms' if budget.ms else ''}"
                    f"{'  BEYOND' if is_beyond else ''}"
                )
        finally:
            system.stop()
    sys.exit(beyond)


def _get(connection: http.client.HTTPConnection, path: str) -> tuple[bytes, bytes]:
    """The bytes as they came, and what they say."""
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, (path, answer.status)
    return body, gzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body


def _weight(system: System, path: str) -> float:
    """Kilobytes of a page with what it loads, and what that loads: an empty cache."""
    connection = http.client.HTTPConnection("127.0.0.1", system.web_port)
    seen: dict[str, int] = {}
    queue = [path]
    while queue:
        url = queue.pop()
        if url in seen:
            continue
        wire, body = _get(connection, url)
        seen[url] = len(wire)
        if url == path:
            queue += re.findall(r'(?:src|href)="(/static/[^"]+)"', body.decode())
        elif url.endswith(".js"):
            folder = url.rpartition("/")[0]
            names = re.findall(r'(?:from|import)\s*\(?"\./([^"]+)"', body.decode())
            queue += [f"{folder}/{name}" for name in names]
    return sum(seen.values()) / 1000


def _time(system: System, path: str) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", system.web_port)
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        _get(connection, path)
        times.append((time.perf_counter() - began) * 1000)
    return median(times)


def _drawn(system: System) -> dict[str, float]:
    """Milliseconds from the click to a chart with something in it; nothing where there is no browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        return {}
    from playwright.sync_api import sync_playwright

    path = "/sensors/3/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        times = []
        for _ in range(5):
            context: Any = browser.new_context(base_url=f"http://127.0.0.1:{system.web_port}")
            context.add_cookies(
                [{"name": "zone", "value": "UTC", "url": f"http://127.0.0.1:{system.web_port}"}]
            )
            page = context.new_page()
            page.goto(path, wait_until="commit")
            page.wait_for_selector(".uplot canvas")
            times.append(page.evaluate("performance.now()"))
            context.close()
        browser.close()
    return {path: median(times)}


if __name__ == "__main__":
    main()
