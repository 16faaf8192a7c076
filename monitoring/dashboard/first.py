"""What a newcomer sees while nothing has been stored: are we ready, what to send, what became of it?"""

import json
import shlex
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from bridge.address import MqttAddress
from monitoring.dashboard.access import REJECTED
from monitoring.decoders import MEANINGS, Code
from monitoring.models import RejectedMessage, Sensor
from monitoring.store import glance
from process.heartbeat import at_work

LOOPBACK = ("localhost", "127.0.0.1", "::1")
EXAMPLES = {"temperature": 21.5, "humidity": 48, "light": 2.57}


class Lamp(NamedTuple):
    title: str
    is_lit: bool
    said: str


class Refused(NamedTuple):
    """`detail`: only for who may see what was refused."""

    code: str
    meaning: str
    detail: str


def lamps() -> list[Lamp]:
    """The database has answered already, or there would be no page."""
    found = {"bridge": False, "worker": False}
    with suppress(RedisError):
        processes = at_work(glance().redis)
        found["bridge"] = any(works for name, works in processes.items() if name.startswith("bridge"))
        found["worker"] = processes.get("worker", False)
    return [
        Lamp(
            _("Broker"),
            found["bridge"],
            _("the bridge is connected and subscribed")
            if found["bridge"]
            else _("the bridge is not connected: its log says why"),
        ),
        Lamp(
            _("Worker"),
            found["worker"],
            _("ready to store") if found["worker"] else _("no worker answers: its log says why"),
        ),
        Lamp(_("Database"), True, _("answers")),
    ]


class Way(NamedTuple):
    """How a first message gets here. `note`: what a person must know besides, or ""."""

    host: str
    port: int
    topic: str
    sensor: int
    publish: str
    read: str
    note: str


def way(request: HttpRequest) -> Way:
    """With the broker's address as whoever reads the page reaches it: they came by a name of this machine."""
    seen_as = (
        request.get_host().rsplit(":", 1)[0] if not request.get_host().endswith("]") else request.get_host()
    )
    broker = MqttAddress.parse(settings.MQTT_URL) if settings.MQTT_URL else MqttAddress("127.0.0.1", 1883)
    is_beside_us = broker.host in LOOPBACK or "." not in broker.host
    host = seen_as.strip("[]") if is_beside_us else broker.host
    # In the containers the broker's own port is published under MQTT_PORT.
    port = settings.MQTT_PORT if is_beside_us and broker.host not in LOOPBACK else broker.port
    topic = next((one for one in settings.MQTT_TOPICS if not set("+#") & set(one)), "iot/measurements")
    sensor = Sensor.objects.present().filter(is_active=True).order_by("pk").first()
    number = sensor.pk if sensor else 1
    payload: dict[str, object] = {"sensor_id": number}
    if sensor and sensor.kind:
        payload["type"] = sensor.kind
    payload["value"] = EXAMPLES.get(sensor.kind if sensor else "", 21.5)
    if sensor and sensor.unit:
        payload["unit"] = sensor.unit
    account = "-u board -P PASSWORD " if broker.username else ""
    tls = "--tls-use-os-certs " if broker.tls else ""
    said = shlex.quote(json.dumps(payload, ensure_ascii=False))
    note = ""
    if broker.username:
        note = _(
            "The broker asks for a user and a password: docs/containers.md says how a board gets its own."
        )
    elif broker.host in LOOPBACK and host not in LOOPBACK and settings.MQTT_LISTEN in LOOPBACK:
        note = _("The broker listens on this machine alone; MQTT_LISTEN=0.0.0.0 make run lets boards in.")
    return Way(
        host=host,
        port=port,
        topic=topic,
        sensor=number,
        publish=f"mosquitto_pub -h {host} -p {port} {account}{tls}-q 1 -t {shlex.quote(topic)} -m {said}",
        read=f"curl {request.build_absolute_uri(f'/api/monitoring/sensors/{number}/last/')}",
        note=note,
    )


def refused(request: HttpRequest) -> Refused | None:
    """The last message of the last ten minutes that was refused."""
    since = timezone.now() - timedelta(minutes=10)
    message = RejectedMessage.objects.filter(received_at__gt=since).order_by("-received_at").first()
    if message is None:
        return None
    detail = message.detail if request.user.has_perm(REJECTED) else ""
    return Refused(message.code, _(MEANINGS[Code(message.code)]), detail)
