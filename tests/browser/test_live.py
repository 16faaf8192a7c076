"""The page's end of /live/ in a browser: it says when it is behind, and then misses and doubles nothing."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.journey.system import Device, System, wait_for

pytestmark = pytest.mark.timeout(240)

Watch = Callable[..., Any]

# What a chart does: new values are drawn, and after a resync what lies after it is fetched.
OPEN = """async (ids) => {
    const { openLive } = await import("/static/monitoring/dashboard/live.js");
    const points = new Map();
    // Time in which the machine let the page do something.
    let ticked = performance.now(), stood = 0;
    setInterval(() => {
        const now = performance.now();
        if (now - ticked > 200) stood += now - ticked - 100;
        ticked = now;
    }, 100);
    const clock = () => performance.now() - stood;
    window.told = { values: [], states: [], resyncs: 0, points, fetched: 0, clock };
    window.live = openLive({
        ids,
        topics: ["counts"],
        onValues(values) {
            told.values.push(...values);
            for (const { t, v } of values) points.set(t, v);
        },
        async onResync({ from }) {
            told.resyncs++;
            const query = `limit=1000&from=${from / 1000}`;
            const answer = await fetch(`/api/monitoring/sensors/${ids[0]}/measurements/?${query}`);
            for (const { created_at, value } of await answer.json()) {
                const [, micro = "0"] = /\\.(\\d+)/.exec(created_at) ?? [];
                const seconds = Math.floor(Date.parse(created_at) / 1000);
                points.set(1000000 * seconds + Number(micro.padEnd(6, "0")), value);
            }
            told.fetched++;
        },
        onState: (state, detail) => told.states.push([state, detail, clock()]),
    });
}"""


@pytest.fixture
def watch(browser: Any, system: System) -> Iterator[Watch]:
    """watch(ids, context): a page that watches; the pages of one context are one person's."""
    contexts = []

    def open_page(ids: list[int], context: Any = None, before: Callable[[Any], None] | None = None) -> Any:
        if context is None:
            context = browser.new_context(base_url=f"http://127.0.0.1:{system.web_port}")
            contexts.append(context)
        page = context.new_page()
        if before is not None:
            before(page)
        page.goto("/login/")
        page.evaluate(OPEN, ids)
        return page

    yield open_page
    for context in contexts:
        context.close()


def state(page: Any) -> Any:
    return page.evaluate("told.states.at(-1)?.slice(0, 2).join(' ').trim()")


def until(page: Any, expression: str, arg: Any = None, seconds: float = 30) -> None:
    """Not playwright's own wait_for_function, which evaluates in a way that the pages' CSP forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression, arg):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {expression}"
        page.wait_for_timeout(100)


def wait_until(page: Any, wanted: str) -> None:
    until(page, "wanted => told.states.at(-1)?.slice(0, 2).join(' ').trim() === wanted", wanted)


def shows(page: Any, value: float) -> None:
    until(page, "value => [...told.points.values()].includes(value)", value)


def settle(page: Any, device: Device, sensor: int) -> None:
    """Until values come."""
    wait_until(page, "live")
    send(device, sensor, 0.5)
    shows(page, 0.5)


def rows(system: System, sensor: int) -> dict[int, float]:
    found = system.query(
        "SELECT (extract(epoch FROM created_at) * 1000000)::bigint, value"
        " FROM monitoring_measurement WHERE sensor_id = %s",
        sensor,
    )
    return dict(found)


def send(device: Device, sensor: int, *values: float) -> None:
    for value in values:
        device.publish(f'{{"sensor_id": {sensor}, "value": {value}}}')


def points(page: Any) -> dict[int, float]:
    return {int(t): v for t, v in page.evaluate("[...told.points]")}


def test_after_a_kill_the_page_says_so_and_then_nothing_is_missing_or_doubled(
    system: System, device: Device, watch: Watch
) -> None:
    before = set(rows(system, 1))
    page = watch([1])
    settle(page, device, 1)
    send(device, 1, 1, 2)
    shows(page, 2)
    killed = page.evaluate("told.clock()")
    system.kill("web")
    send(device, 1, 3, 4)
    wait_until(page, "stale lost")
    assert page.evaluate("told.states.at(-1)[2]") - killed < 10_000, "it says so within ten seconds"
    send(device, 1, 5)
    fetched = page.evaluate("told.fetched")
    system.start("web")
    wait_until(page, "live")
    until(page, "before => told.fetched > before", fetched)
    send(device, 1, 6)
    shows(page, 6)
    wait_for(lambda: len(set(rows(system, 1)) - before) == 7, "the rows")
    stored = {t: v for t, v in rows(system, 1).items() if t not in before}
    shown = {t: v for t, v in points(page).items() if t not in before}
    assert shown == stored
    told = [(one["sensor"], one["t"]) for one in page.evaluate("told.values")]
    assert len(told) == len(set(told)), "nothing is told twice"


def test_a_web_process_that_hangs_is_noticed(system: System, device: Device, watch: Watch) -> None:
    page = watch([2])
    settle(page, device, 2)
    web = system.processes["web"].pid
    stopped = page.evaluate("told.clock()")
    os.kill(web, signal.SIGSTOP)
    try:
        wait_until(page, "stale lost")
    finally:
        os.kill(web, signal.SIGCONT)
    assert page.evaluate("told.states.at(-1)[2]") - stopped < 10_000
    wait_until(page, "live")
    send(device, 2, 21.5)
    shows(page, 21.5)


def test_a_refusal_is_outlived(system: System, device: Device, watch: Watch) -> None:
    """EventSource gives up for good at a 503."""
    asked: list[str] = []
    refuse = [0]

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        if refuse[0]:
            refuse[0] -= 1
            route.fulfill(status=503, headers={"Retry-After": "1"}, json={"detail": "full"})
        else:
            route.continue_()

    page = watch([1], before=lambda page: page.route("**/live/?*", answer))
    settle(page, device, 1)
    refuse[0], asked[:] = 7, []
    before = page.evaluate("told.states.length")
    page.evaluate("dispatchEvent(new Event('online'))")  # it begins anew
    until(page, "before => told.states.slice(before).some(([one, why]) => why === 'lost')", before)
    wait_until(page, "live")
    assert len(asked) >= 8
    assert all("after=" in url for url in asked)
    assert "once=1" in asked[-1], "a server that is full is asked now and then, rather than held"
    send(device, 1, 31.5)
    shows(page, 31.5)


def test_who_may_not_watch_any_more_is_told_so_and_asks_no_more(system: System, watch: Watch) -> None:
    asked: list[str] = []

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(status=401, json={"detail": "Sign in to watch."})

    page = watch([1], before=lambda page: page.route("**/live/?*", answer))
    wait_until(page, "ended signed_out")
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_timeout(1500)
    assert len(asked) == 1


def test_nine_windows_of_one_browser_are_all_served(system: System, device: Device, watch: Watch) -> None:
    """Over HTTP/1.1 it has six connections, and the pages want some too."""
    pages = [watch([3])]
    settle(pages[0], device, 3)
    pages += [watch([3], pages[0].context) for _ in range(8)]
    for page in pages:
        wait_until(page, "live")
    places = "Object.keys(localStorage).filter((key) => key.startsWith('iot-live-')).length"
    until(pages[-1], f"{places} === 4")
    for value in (41.5, 42.5):
        send(device, 3, value)
        for page in pages:
            shows(page, value)
    assert pages[-1].evaluate("fetch('/healthz').then((answer) => answer.status)") == 200
    for page in pages:
        wait_until(page, "live")
    for page in pages[:4]:
        page.close()
    until(pages[-1], f"{places} === 4")  # others have taken their places


def test_what_is_watched_may_change(system: System, device: Device, watch: Watch) -> None:
    page = watch([1])
    settle(page, device, 1)
    page.evaluate("live.watch([2, 3])")
    send(device, 1, 51.5)
    send(device, 3, 52.5)
    shows(page, 52.5)
    assert 51.5 not in points(page).values()
    page.evaluate("live.close()")
    assert state(page) == "live"
