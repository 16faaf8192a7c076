"""Alerts while everything is killed: no incident lost or doubled, nobody told twice or not at all.

Rules on the sensors of the proof, and a webhook that a receiver of ours takes. At the end the incidents must
be those that the rules find in what is stored, worked out once and in order; each change of each of them must
be noted once in the outbox, unless it was long over when it was found, and each delivery must have been taken
by the receiver.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitoring.models import Incident

SECRET = "whsec_" + "cHJvb2YtcHJvb2YtcHJvb2YtcHJvb2Y="
REST_SECONDS = 180
EXAMPLES = 5
ONE_MINUTE = timedelta(minutes=1)
_NAMES = (
    "incidents lost",
    "incidents that never were",
    "changes not noted",
    "notifications not sent",
    "deliveries not taken",
)


class Receiver:
    """Counts the deliveries that it took, by their key. Each seventh is refused, as by a busy server."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.refused = 0
        taken, self_ = self.taken, self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                key = self.headers["webhook-id"]
                self_.asked += 1
                if self_.asked % 7 == 0:
                    self_.refused += 1
                    self.send_response(503)
                else:
                    taken[key] += 1
                    self.send_response(204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.asked = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, name="receiver", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Account:
    """What is wrong, by what it is; and how much there was of what."""

    wrong: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in _NAMES})
    incidents: int = 0
    changes: int = 0
    deliveries: int = 0
    withdrawn: int = 0
    long_over: int = 0

    @property
    def is_clean(self) -> bool:
        return self.incidents > 0 and not any(self.wrong.values())

    def lines(self, receiver: Receiver) -> list[str]:
        counts = ", ".join(f"{len(found)} {name}" for name, found in self.wrong.items())
        again = sum(count - 1 for count in receiver.taken.values())
        return [
            f"alerts: {self.incidents:,} incidents, {self.changes:,} changes told in {self.deliveries:,}"
            f" deliveries ({receiver.refused} refused, {again} taken again); {counts}; {self.long_over:,}"
            " incidents told to nobody, since they were long over when they were found",
            *(f"  {name}: {json.dumps(found[:EXAMPLES])}" for name, found in self.wrong.items() if found),
        ]


def set_up(url: str, start_us: int) -> None:
    """Rules from the first reading on, and the channel; Django is set up."""
    from django.db import connection

    from monitoring.models import AlertChannel, AlertRule

    channel = AlertChannel.objects.create(
        name="receiver", kind="webhook", settings={"url": url, "secret": SECRET}, group_s=1
    )
    start = datetime.fromtimestamp(start_us / 1e6, UTC)
    for fields in (
        {"name": "above", "kind": "above", "high": 100, "clear_high": 90, "for_s": 1},
        {"name": "outside", "kind": "outside", "low": 10, "high": 110, "keep_s": 1},
        {"name": "too fast", "kind": "rate", "low": -1000, "window_s": 1},
    ):
        rule = AlertRule.objects.create(active_from=start, **fields)
        rule.channels.add(channel)
    # The server is about to be killed; whoever asks next connects anew.
    connection.close()


def wait_for_rest() -> None:
    """Until nothing is to be looked at, told or sent. Raises SystemExit where that does not come."""
    from monitoring.models import AlertState, Delivery, IngestBatch, Notification

    deadline = time.monotonic() + REST_SECONDS
    while True:
        left = {
            "batches to look at": IngestBatch.objects.untaken().count(),
            "states due": AlertState.objects.filter(due_at__lte=datetime.now(UTC)).count(),
            "notifications": Notification.objects.filter(delivery__isnull=True).count(),
            "deliveries": Delivery.objects.filter(state="pending").count(),
        }
        if not any(left.values()):
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"alerts do not come to rest: {left}")
        time.sleep(0.2)


def account(sensors: Collection[int], receiver: Receiver) -> Account:
    """Holds what is kept of these sensors against what the rules find in what is stored of them."""
    from monitoring.alerts.coverage import as_rule
    from monitoring.alerts.rule import State
    from monitoring.alerts.samples import Reading, evaluate
    from monitoring.models import AlertRule, Delivery, Incident, Measurement, Notification

    found = Account()
    until = time.time_ns() // 1000
    kept: dict[tuple[int | None, int | None], Counter[tuple[int, int, int | None]]] = {}
    incidents = list(Incident.objects.exclude(rule=None).exclude(sensor=None))
    rules = {rule.pk: rule for rule in AlertRule.objects.filter(kind__in=["above", "outside", "rate"])}
    for incident in incidents:
        if incident.rule_id not in rules or incident.sensor_id not in sensors:
            continue
        if incident.state == Incident.State.WITHDRAWN:
            found.withdrawn += 1
            continue
        key = incident.rule_id, incident.sensor_id
        span = incident.span
        kept.setdefault(key, Counter())[span.since, span.fired_at, span.resolved_at] += 1
        found.incidents += 1
    for sensor in sensors:
        rows = Measurement.objects.filter(sensor=sensor).order_by("created_at")
        readings = [Reading(_us(at), value) for at, value in rows.values_list("created_at", "value")]
        if not readings:
            continue
        for pk, rule in rules.items():
            pure = as_rule(rule, None)
            assert pure is not None
            spans = evaluate(pure, State(), readings, until, readings[0].at).spans
            holds = Counter((span.since, span.fired_at, span.resolved_at) for span in spans)
            have = kept.pop((pk, sensor), Counter())
            lost, never = holds - have, have - holds
            found.wrong["incidents lost"] += [(rule.name, sensor, *span) for span in lost.elements()]
            found.wrong["incidents that never were"] += [(rule.name, sensor, *s) for s in never.elements()]
    found.wrong["incidents that never were"] += [(*key, *map(str, spans)) for key, spans in kept.items()]

    account_for_changes([one for one in incidents if one.rule_id in rules], found)
    unsent = Notification.objects.exclude(delivery__state="sent").values_list("pk", flat=True)
    found.wrong["notifications not sent"] += list(unsent)
    deliveries = [str(pk) for pk in Delivery.objects.filter(state="sent").values_list("pk", flat=True)]
    found.deliveries = len(deliveries)
    found.wrong["deliveries not taken"] += [key for key in deliveries if not receiver.taken[key]]
    return found


def account_for_changes(incidents: "list[Incident]", found: Account) -> None:
    """Each is noted once, but of what was long over when it was found: a replay brings readings of then."""
    from monitoring.alerts.changing import LONG_OVER
    from monitoring.models import Notification

    noted: dict[int, list[int]] = {}
    for number, sequence in Notification.objects.values_list("incident", "sequence"):
        noted.setdefault(number, []).append(sequence)
    for incident in incidents:
        sequences = sorted(noted.get(incident.pk, []))
        ended = incident.resolved_at
        # What comes late still moves an end a little.
        was_over = ended is not None and ended - ONE_MINUTE <= incident.seen_at - LONG_OVER
        if was_over and not sequences and incident.sequence == 1:
            found.long_over += 1
            continue
        found.changes += len(sequences)
        if sequences != list(range(1, incident.sequence + 1)):
            found.wrong["changes not noted"].append((incident.pk, incident.sequence, sequences))


def _us(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)
