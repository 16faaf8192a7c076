"""The running system from outside: which ports answer, and what each lets in without a password."""

import json
import re
import socket
import time
from collections.abc import Callable

from deploy.test.api import ask
from deploy.test.broker import User, lets_in
from deploy.test.installation import LASTING, Installation, run
from deploy.test.load import Account
from deploy.test.transcript import require

Note = Callable[[str], None]

LISTENS = {"db": {5432}, "redis": {6379}, "mosquitto": {1883}, "web": {8000}, "flower": {5555}}
# What the web process answers to anybody with 200. All of its other routes must refuse.
OPEN = {"/healthz", "/readyz", "/admin/login/", "/login/", "/preferences/"}
REFUSALS = {301, 302, 400, 401, 403, 404, 405}
WRITING = {
    "POST /api/monitoring/measurements/": 401,
    "POST /api/monitoring/sensors/": 401,
    "PATCH /api/monitoring/sensors/3/": 401,
    "DELETE /api/monitoring/sensors/3/": 401,
}
# Every route, with 3 for what varies in it.
ROUTES = r"""
import re
from django.urls import get_resolver
def walk(patterns, before=""):
    for each in patterns:
        path = before + re.sub("<[^>]+>", "3", str(each.pattern))
        if hasattr(each, "url_patterns"):
            walk(each.url_patterns, path)
        else:
            print("ROUTE /" + re.sub(r"\([^)]*\)|\\Z|[\\?.*+^$]", "", path))
walk(get_resolver().url_patterns)
"""
FLOWER = {
    "GET /": 401,
    "GET /workers": 401,
    "GET /tasks": 401,
    "GET /api/workers": 401,
    "GET /api/tasks": 401,
    "POST /api/worker/shutdown/celery@worker": 401,
    "GET /metrics": 200,
    "GET /healthcheck": 200,
}


def own_address() -> str | None:
    """An address of this machine under which others see it; None where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            return None


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 3).close()
    except OSError:
        return False
    return True


def listening(installation: Installation, service: str) -> set[int]:
    """TCP ports that the container listens on, its own loopback left out."""
    table = installation.exec(service, "sh", "-c", "cat /proc/net/tcp; cat /proc/net/tcp6 2>/dev/null || :")
    found = re.findall(r"^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} 0A ", table, re.MULTILINE)
    loopback = re.compile(r"[0-9A-F]{6}7F|0{24}01000000")
    return {int(port, 16) for address, port in found if not loopback.fullmatch(address)}


def ports(installation: Installation, note: Note) -> None:
    containers = installation.containers()
    for service in LASTING:
        found = listening(installation, service)
        require(found == LISTENS.get(service, set()), f"{service} listens on {sorted(found)}")
        (container,) = containers[service]
        published = {
            (place["HostIp"], int(place["HostPort"]))
            for places in container["NetworkSettings"]["Ports"].values()
            for place in places or ()
        }
        expected = {
            "web": {("0.0.0.0", installation.web_port)},
            "mosquitto": {("0.0.0.0", installation.mqtt_port)},
            "flower": {("127.0.0.1", installation.flower_port)},
        }.get(service, set())
        require(published == expected, f"{service} is published at {published}")
        where = ", ".join(f"published at {address}" for address, _ in published) or "not published"
        note(f"{service}: {'port ' + ', '.join(map(str, sorted(found))) if found else 'no port'}, {where}")
    outside = own_address()
    if outside is None:
        note("this machine has no address of its own: who answers there was not tried")
        return
    require(answers(outside, installation.web_port), f"web does not answer at {outside}")
    require(answers(outside, installation.mqtt_port), f"the broker does not answer at {outside}")
    require(answers("127.0.0.1", installation.flower_port), "Flower does not answer on loopback")
    require(not answers(outside, installation.flower_port), f"Flower answers at {outside}")


def without_password(installation: Installation, note: Note) -> None:
    printed = installation.manage("shell", "-c", ROUTES).splitlines()
    routes = {line.removeprefix("ROUTE ") for line in printed if line.startswith("ROUTE ")}
    require(len(routes) > 30 and routes >= OPEN, f"only {len(routes)} routes found")
    by_status: dict[int, set[str]] = {}
    for route in routes:
        by_status.setdefault(ask(installation.web_port, route).status, set()).add(route)
    for status, found in sorted(by_status.items()):
        note(f"web {status}: {', '.join(sorted(found)) if len(found) < 4 else f'{len(found)} routes'}")
    require(by_status[200] == OPEN, f"web lets anybody in at {by_status[200]}")
    require(set(by_status) <= REFUSALS | {200}, f"web answers with {by_status}")
    _answers_as(WRITING, "web", installation.web_port)
    note(f"web 401: {', '.join(WRITING)}")
    _answers_as(FLOWER, "flower", installation.flower_port)
    for status in sorted(set(FLOWER.values())):
        note(f"flower {status}: {', '.join(request for request in FLOWER if FLOWER[request] == status)}")
    stranger = ask(installation.web_port, "/admin/login/", headers={"Host": "evil.example"})
    require(stranger.status == 400, f"web answers as evil.example: {stranger.status}")
    note("web 400: any name that is not in ALLOWED_HOSTS")
    for who, password in ((None, None), ("demo", "demo"), ("bridge", ""), ("admin", "admin")):
        refused = lets_in(installation.mqtt_port, who, password)
        require(refused, f"the broker lets {who or 'anybody'} in")
        note(f"mosquitto refuses {refused}")
    redis = installation.exec("redis", "redis-cli", "-h", "redis", "ping").strip()
    require(redis.startswith("NOAUTH"), f"Redis answers {redis}")
    note(f"redis (from a neighbour): {redis}")
    postgres = run(
        ["docker", "compose", "exec", "-T", "db", "psql", "-w", "-h", "db", "-U", "iot", "-c", "SELECT 1"],
        folder=installation.folder,
    )
    require("no password supplied" in postgres.stderr, f"PostgreSQL: {postgres.stdout}{postgres.stderr}")
    note("db (from a neighbour): no password supplied")


def _answers_as(expected: dict[str, int], name: str, port: int) -> None:
    for request, status in expected.items():
        method, path = request.split()
        body, headers = (None, {}) if method == "GET" else ("{}", {"Content-Type": "application/json"})
        answer = ask(port, path, method, body, headers)
        require(answer.status == status, f"{name}, {request}: {answer.status} {answer.body[:200]!r}")


def who_may_write_what(
    installation: Installation,
    demo: Account,
    device: Account,
    other: Account,
    bridge: tuple[str, str],
    note: Note,
) -> None:
    """Each user tries each topic. A second session of the bridge's user sees what came through."""
    topics = (demo.topic, device.topic, other.topic, "iot/demo/measurements", "iot/bridge/measurements",
              "iot/status/measurements")  # fmt: skip
    may = {"demo": {demo.topic}, device.user: {device.topic}, other.user: {other.topic}, "bridge": set[str]()}
    port = installation.mqtt_port
    passwords = {account.user: account.password for account in (demo, device, other)} | dict([bridge])
    number, two_days_ago = 0, int(time.time()) - 2 * 24 * 3600
    with User(port, *bridge) as reader, User(port, device.user, device.password) as eavesdropper:
        reader.subscribe("#")
        eavesdropper.subscribe("#")
        taken = []
        for name, password in passwords.items():
            with User(port, name, password) as user:
                for topic in topics:
                    number += 1
                    # A second apart: readings that nothing else stands in the way of.
                    payload = json.dumps({"sensor_id": 1, "value": number, "ts": two_days_ago + number})
                    was_taken = user.publish(topic, payload)
                    allowed = topic in may[name]
                    require(was_taken == allowed, f"{name} {'may' if was_taken else 'may not'} write {topic}")
                    taken += [payload] if was_taken else []
                note(f"{name} writes {', '.join(may[name]) or 'nothing'}, of {len(topics)} topics tried")
        heard = reader.wait_for(taken[-1])
        require(heard == taken, f"the bridge's user heard {heard} of {taken}")
        eavesdropper.subscribe("iot/none")
        require(not eavesdropper.received, f"{device.user} reads what others send: {eavesdropper.received}")
    note("bridge reads them all; a board reads nothing")
