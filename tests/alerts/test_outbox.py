"""Each change is sent, as one message where it can be, whoever dies meanwhile."""

import base64
import contextlib
import hashlib
import hmac
import json
import random
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from monitoring import locks
from monitoring.alerts import outbox
from monitoring.models import AlertChannel, AlertRule, Delivery, Incident, Notification, Sensor
from monitoring.upkeep.pieces import TimeShare
from process.failpoints import FailpointError
from tests.alerts.conftest import AGAIN, FIRING, SECRET, MakeIncident, only_delivery, resolve, send
from tests.alerts.receivers import Mail, Web
from tests.elsewhere import elsewhere
from tests.locks import held_until_wanted

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.django_db


@pytest.fixture
def told(rule: AlertRule, hook: AlertChannel) -> AlertChannel:
    """The rule tells the webhook."""
    rule.channels.add(hook)
    return hook


def data(web: Web, place: int = -1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(web.seen[place].body)
    return found


def events(web: Web, place: int = -1) -> list[tuple[int, str]]:
    return [(one["sensor"]["id"], one["event"]) for one in data(web, place)["data"]["incidents"]]


def test_an_incident_is_told_once_and_has_a_receipt(
    told: AlertChannel, fires: MakeIncident, web: Web
) -> None:
    fires()
    assert send() == (1, 0, 0)
    assert send() == (0, 0, 0)
    [request] = web.seen
    delivery = only_delivery()
    assert (delivery.state, delivery.tries, delivery.error) == ("sent", 1, "")
    assert delivery.sent_at is not None
    assert Notification.objects.get().delivery == delivery
    assert events(web) == [(1, "firing")]
    assert request.headers["webhook-id"] == data(web)["id"] == str(delivery.pk)
    signed = f"{delivery.pk}.{request.headers['webhook-timestamp']}.".encode() + request.body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    assert (
        request.headers["webhook-signature"]
        == "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    )


def test_what_happens_within_the_window_is_one_message(
    told: AlertChannel, fires: MakeIncident, web: Web, now: datetime
) -> None:
    AlertChannel.objects.update(group_s=30)
    fires(1)
    fires(2)
    assert send(datetime.now(UTC)) == (0, 0, 0)
    resolve(fires(3), now)
    assert send(datetime.now(UTC) + timedelta(seconds=31)) == (1, 0, 0)
    assert sorted(events(web)) == [(1, "firing"), (2, "firing"), (3, "passed")]
    assert Delivery.objects.count() == 1
    assert Notification.objects.filter(delivery=None).count() == 0


def test_its_end_is_told_in_a_message_of_its_own(
    told: AlertChannel, fires: MakeIncident, web: Web, now: datetime
) -> None:
    incident = fires()
    send()
    resolve(incident, now)
    assert send() == (1, 0, 0)
    assert events(web) == [(1, "resolved")]
    [one] = data(web)["data"]["incidents"]
    assert (one["sequence"], one["end"], one["rule"]["name"]) == (2, "clear", "Too warm")
    assert web.seen[0].headers["webhook-id"] != web.seen[1].headers["webhook-id"]


def test_three_hundred_are_one_message_with_twenty_names(
    told: AlertChannel, rule: AlertRule, sensors: dict[int, Sensor], web: Web, now: datetime
) -> None:
    Sensor.objects.register([Sensor(id=number, name=f"S{number}") for number in range(101, 401)])
    same: dict[str, Any] = {"rule": rule, "title": rule.name, "kind": "silence", "severity": "critical"}
    same |= dict.fromkeys(("since", "fired_at", "seen_at"), now)
    made = Incident.objects.bulk_create(
        Incident(**same, sensor_id=number, subject=f"sensor:{number}") for number in range(101, 401)
    )
    outbox.note(made, FIRING)
    assert send() == (1, 0, 0)
    text = only_delivery().message["text"]
    assert only_delivery().message["subject"] == "Too warm: 300 firing"
    assert "and 280 more" in text
    assert text.count("S") - text.count("Since") == 20
    assert data(web)["data"]["count"] == 300
    assert len(data(web)["data"]["incidents"]) == 200


def test_one_of_many_sensors_names_them(
    told: AlertChannel, fires: MakeIncident, sensors: dict[int, Sensor], now: datetime
) -> None:
    whole = fires(sensor_id=None, subject="location:Hall", kind="silence", value=None, peak=None)
    for number in (1, 2, 3):
        Incident.objects.create(
            title="", kind="silence", severity="info", subject=f"sensor:{number}", sensor_id=number,
            since=now, fired_at=now, seen_at=now, part_of=whole,
        )  # fmt: skip
    send()
    message = only_delivery().message
    assert message["subject"] == "Firing: Too warm, Hall: 3 sensors"
    assert "3 sensors: Capteur Humidité Salon, Capteur Lumière Salon, Capteur Temp Salon" in message["text"]


def test_one_that_became_a_part_is_told_by_the_whole_and_its_end_to_those_who_know(
    told: AlertChannel, fires: MakeIncident, web: Web, now: datetime
) -> None:
    before = fires(1)
    send()
    meanwhile = fires(2)
    whole = fires(sensor_id=None, subject="location:Hall", kind="silence")
    third = fires(3, part_of=whole)
    Incident.objects.filter(pk__in=[before.pk, meanwhile.pk]).update(part_of=whole)
    send()
    [one] = data(web)["data"]["incidents"]
    assert (one["id"], one["parts"]["count"]) == (whole.pk, 3)
    for incident in (before, third):
        incident.part_of = whole
        resolve(incident, now)
    send()
    assert events(web) == [(1, "resolved")]


@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_what_may_pass_is_tried_again_with_the_same_key_and_body(
    status: int, told: AlertChannel, fires: MakeIncident, web: Web
) -> None:
    web.answers = [(status, {})]
    fires()
    assert send() == (0, 0, 1)
    delivery = only_delivery()
    assert delivery.state == "pending"
    assert str(status) in delivery.error
    assert delivery.next_at is not None
    assert send(delivery.next_at - timedelta(milliseconds=1)) == (0, 0, 0)
    assert send(delivery.next_at) == (1, 0, 0)
    first, second = web.seen
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    told.refresh_from_db()
    assert told.enabled


def test_it_waits_for_as_long_as_the_receiver_asks(
    told: AlertChannel, fires: MakeIncident, web: Web, now: datetime
) -> None:
    web.answers = [(429, {"Retry-After": "600"})]
    fires()
    at = datetime.now(UTC)
    send(at)
    next_at = only_delivery().next_at
    assert next_at is not None
    assert next_at == at + timedelta(seconds=600)


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 410])
def test_what_will_not_pass_switches_the_channel_off_with_the_reason(
    status: int, told: AlertChannel, fires: MakeIncident, web: Web
) -> None:
    web.answers = [(status, {"Location": f"http://127.0.0.1:{web.port}/elsewhere"})]
    fires()
    assert send() == (0, 1, 0)
    assert len(web.seen) == 1, "redirects are not followed"
    told.refresh_from_db()
    assert not told.enabled
    assert str(status) in told.disabled_why
    assert told.disabled_at is not None
    assert (only_delivery().state, only_delivery().error) == ("failed", told.disabled_why)
    fires(2)
    assert Notification.objects.count() == 1, "who is off is not told"
    told.switch(on=True)
    told.save()
    fires(3)
    assert send() == (1, 0, 0)
    assert events(web) == [(3, "firing")]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_wrong_with_one_message_fails_alone(
    status: int, told: AlertChannel, fires: MakeIncident, web: Web
) -> None:
    web.answers = [(status, {})]
    fires()
    assert send() == (0, 1, 0)
    told.refresh_from_db()
    assert told.enabled


def test_a_receiver_that_is_down_gets_it_when_it_is_back_and_the_rest_in_one(
    told: AlertChannel, fires: MakeIncident, web: Web, now: datetime
) -> None:
    web.stop()
    first = fires(1)
    assert send() == (0, 0, 1)
    assert only_delivery().error
    resolve(first, now)
    resolve(fires(2), now)
    assert send() == (0, 0, 0), "one delivery to a channel at a time"
    web.start()
    assert send(only_delivery().next_at) == (1, 0, 0)
    assert events(web) == [(1, "firing")]
    assert send() == (1, 0, 0)
    assert sorted(events(web)) == [(1, "resolved"), (2, "passed")]


def test_after_a_day_it_has_failed(told: AlertChannel, fires: MakeIncident, web: Web, now: datetime) -> None:
    web.stop()
    fires()
    at = datetime.now(UTC)
    assert send(at) == (0, 0, 1)
    assert send(at + timedelta(days=1, minutes=1)) == (0, 1, 0)
    told.refresh_from_db()
    assert told.enabled


def test_a_channel_that_hangs_in_its_failure_holds_up_no_other(
    told: AlertChannel, rule: AlertRule, fires: MakeIncident, web: Web
) -> None:
    bad = AlertChannel.objects.create(
        name="bad", kind="webhook", settings=told.settings | {"url": "http://127.0.0.1:9/"}, group_s=0
    )
    rule.channels.add(bad)
    fires()
    assert send() == (1, 0, 1)


@pytest.fixture
def hangs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Nothing is sent until this is called, and no attempt may take long."""
    monkeypatch.setattr(outbox, "LONGEST_TRY_S", 0.1)
    sends, goes_on = outbox.channels.send, threading.Event()
    before = set(threading.enumerate())

    def send(*args: Any) -> str:
        goes_on.wait(20)
        return sends(*args)

    def go_on() -> None:
        goes_on.set()
        for thread in set(threading.enumerate()) - before:
            if thread.name == "alerts":
                thread.join(30)

    monkeypatch.setattr(outbox.channels, "send", send)
    yield go_on
    go_on()


def test_what_takes_too_long_is_tried_again_whatever_became_of_it(
    told: AlertChannel,
    fires: MakeIncident,
    web: Web,
    hangs: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fires()
    assert send() == (0, 0, 1)
    delivery = only_delivery()
    assert (delivery.state, delivery.error) == ("pending", "it took too long")
    hangs()
    assert len(web.seen) == 1
    assert only_delivery().state == "pending"
    monkeypatch.setattr(outbox, "LONGEST_TRY_S", 30.0)
    assert send(delivery.next_at) == (1, 0, 0)
    assert web.seen[0].headers["webhook-id"] == web.seen[1].headers["webhook-id"]


def test_a_test_that_takes_too_long_has_failed(
    told: AlertChannel, web: Web, hangs: Callable[[], None]
) -> None:
    receipt = outbox.send_test(told)
    assert (receipt.state, receipt.error) == ("failed", "it took too long")


def test_a_channel_of_nonsense_fails_and_says_so(
    told: AlertChannel, fires: MakeIncident, web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    AlertChannel.objects.update(settings={})
    fires()
    assert send() == (0, 0, 1)
    assert only_delivery().error == "KeyError"
    [record] = [record for record in caplog.records if record.name == outbox.__name__]
    assert record.getMessage() == "alerts: hook could not be sent to: KeyError"
    assert record.exc_info is None, "a traceback may show a secret"


def test_a_test_is_sent_at_once_and_once(told: AlertChannel, web: Web) -> None:
    receipt = outbox.send_test(told)
    assert (receipt.state, receipt.is_test, receipt.error) == ("sent", True, "")
    assert data(web)["type"] == "test"
    web.answers = [(410, {})]
    receipt = outbox.send_test(told)
    assert receipt.state == "failed"
    assert "410" in receipt.error
    told.refresh_from_db()
    assert told.enabled, "a test switches nothing off"
    web.answers = [(503, {})]
    assert outbox.send_test(told).state == "failed"
    assert send() == (0, 0, 0)


def test_an_old_delivery_goes_with_what_it_told_and_is_not_told_again(
    told: AlertChannel, fires: MakeIncident, web: Web, now: datetime
) -> None:
    incident = fires()
    send()
    Incident.objects.filter(pk=incident.pk).update(state="resolved", end="clear", resolved_at=now)
    assert outbox.forget(now + timedelta(days=29)) == 0
    assert outbox.forget(now + timedelta(days=31)) == 2
    assert not Notification.objects.exists()
    assert send() == (0, 0, 0)
    assert len(web.seen) == 1


def test_what_fires_for_longer_than_that_is_told_as_resolved(
    told: AlertChannel, fires: MakeIncident, web: Web, now: datetime
) -> None:
    incident, other = fires(1), fires(2)
    send()
    Incident.objects.filter(pk=other.pk).update(state="resolved", end="clear", resolved_at=now)
    assert outbox.forget(now + timedelta(days=31)) == 1, "what was told of the other, but not their delivery"
    resolve(incident, now)
    assert send() == (1, 0, 0)
    assert events(web) == [(1, "resolved")]
    assert outbox.forget(now + timedelta(days=31)) == 4
    assert not Delivery.objects.exists()


def test_one_process_sends_at_a_time(told: AlertChannel, fires: MakeIncident, web: Web) -> None:
    fires()
    with held_until_wanted(locks.OUTBOX):
        assert outbox.work(TimeShare(5)) == outbox.Sent()
    assert outbox.work(TimeShare(5)) == outbox.Sent(sent=1)


def test_what_is_rolled_back_is_not_told(told: AlertChannel, fires: MakeIncident, web: Web) -> None:
    with transaction.atomic():
        fires()
        transaction.set_rollback(True)
    assert send() == (0, 0, 0)


def test_a_reminder_says_that_it_fires_still(told: AlertChannel, fires: MakeIncident, web: Web) -> None:
    incident = fires()
    send()
    incident.sequence += 1
    incident.save()
    outbox.note([incident], AGAIN)
    send()
    assert events(web) == [(1, "again")]
    assert Delivery.objects.latest("created_at").message["subject"].startswith("Still firing: ")


@pytest.mark.parametrize("seed", range(4))
def test_each_change_is_told_whatever_fails_and_in_whatever_order(
    seed: int,
    told: AlertChannel,
    rule: AlertRule,
    fires: MakeIncident,
    web: Web,
    mail: Mail,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By our account each once; by the receivers' at least once, and once under each key."""
    choose = random.Random(seed)
    rule.channels.add(
        AlertChannel.objects.create(name="Ana", kind="email", settings={"to": ["ana@example.org"]}, group_s=3)
    )
    at = datetime.now(UTC)
    dies_at = ""

    def failpoint(name: str, at_hand: bytes = b"") -> None:
        if name == dies_at:
            raise FailpointError(name)

    monkeypatch.setattr(outbox, "failpoint", failpoint)
    open_ones: list[Incident] = []
    for number in range(24):
        if open_ones and choose.random() < 0.4:
            resolve(open_ones.pop(), now)
        else:
            open_ones.append(fires(1 + number % 3, subject=f"sensor:{number}"))
        for receiver in (web, mail):
            if choose.random() < 0.3:
                receiver.stop()
            elif not receiver.is_up:
                receiver.start()
        dies_at = choose.choice(["", "", "alerts.gathered", "alerts.taken", "alerts.sent"])
        at += timedelta(seconds=choose.choice([0, 5, 60, 600]))
        with contextlib.suppress(FailpointError):
            send(at)
    dies_at = ""
    for receiver in (web, mail):
        if not receiver.is_up:
            receiver.start()
    while Notification.objects.exclude(delivery__state="sent").exists():
        at += timedelta(hours=1)
        send(at)
    deliveries = Delivery.objects.all()
    assert set(deliveries.values_list("state", flat=True)) == {"sent"}
    by_key = {one.headers["webhook-id"]: one.body for one in web.seen}
    assert {str(one.pk) for one in deliveries if one.channel_id == told.pk} == set(by_key)
    assert all(by_key[one.headers["webhook-id"]] == one.body for one in web.seen)
    by_id = {str(mail["Message-ID"]) for _, mail in mail.seen}
    assert {f"<{one.pk}@iot-monitor>" for one in deliveries if one.channel_id != told.pk} == by_id
    # What the webhook knows at last is what is so.
    known: dict[int, str] = {}
    for body in sorted(map(json.loads, by_key.values()), key=lambda body: body["timestamp"]):
        known |= {one["id"]: one["event"] for one in body["data"]["incidents"]}
    assert {pk for pk, event in known.items() if event == "firing"} == {one.pk for one in open_ones}
    assert set(known) == set(Incident.objects.values_list("pk", flat=True))


def run(failpoints: str = "") -> int:
    return elsewhere(lambda: outbox.work(TimeShare(20)), failpoints).code


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("place", "tries"), [("alerts.gathered", 0), ("alerts.taken", 1), ("alerts.sent", 1)]
)
def test_whoever_dies_while_sending_leaves_it_to_the_next(
    place: str, tries: int, told: AlertChannel, fires: MakeIncident, web: Web, now: datetime
) -> None:
    """At least once at the receiver, exactly once in our account, and always under one key."""
    fires(1)
    fires(2)
    assert run(f"{place}=kill") == -signal.SIGKILL
    assert sum(Delivery.objects.values_list("tries", flat=True)) == tries
    assert not Delivery.objects.exclude(state="pending").exists()
    # Nobody else takes it before the lease is over.
    if tries:
        assert run() == 0
        assert Delivery.objects.get().state == "pending"
        Delivery.objects.update(next_at=now)
    assert run() == 0
    delivery = only_delivery()
    assert (delivery.state, delivery.tries) == ("sent", tries + 1)
    assert Notification.objects.filter(delivery=delivery).count() == 2
    assert {request.headers["webhook-id"] for request in web.seen} == {str(delivery.pk)}
    assert len({request.body for request in web.seen}) == 1
    assert len(web.seen) == (2 if place == "alerts.sent" else 1)
    assert run() == 0
    assert len(web.seen) == (2 if place == "alerts.sent" else 1)
