"""What each kind of channel wants to know, and that what it sends arrives."""

import json
import queue
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NoReturn

import paho.mqtt.client as paho
import pytest
from django.core.exceptions import ValidationError
from paho.mqtt import subscribe
from paho.mqtt.enums import CallbackAPIVersion

from monitoring.alerts import address, channels
from monitoring.alerts.channels import NotSentError, http, ntfy, telegram, webhook
from monitoring.alerts.message import Message
from runner.services import Broker
from tests.alerts.conftest import SECRET
from tests.alerts.receivers import Mail, Web

MESSAGE = Message(
    "Zu warm: Küche", "Küche\nValue: 26.5 °C\n", {"id": "k", "data": {"count": 1}}, "critical", True
)
TWO = ["ana@example.org", "ben@example.org"]
KEY = "0b5f3c52-1f0e-4d83-8a06-6f4dd1a0c3f1"


def wrong(kind: str, given: dict[str, Any], before: dict[str, Any] | None = None) -> set[str]:
    """Names of the settings that are refused, each with a sentence."""
    with pytest.raises(ValidationError) as raised:
        channels.check(kind, given, before)
    assert all(said for sentences in raised.value.message_dict.values() for said in sentences)
    return set(raised.value.message_dict)


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "given", "field"),
    [
        ("webhook", {}, "url"),
        ("webhook", {"url": "ftp://example.org/"}, "url"),
        ("webhook", {"url": "https://"}, "url"),
        ("webhook", {"url": "https://ana:secret@example.org/"}, "url"),
        ("webhook", {"url": "https://example.org:0/"}, "url"),
        ("webhook", {"url": "https://example.org:x/"}, "url"),
        ("webhook", {"url": "https://exämple.org/"}, "url"),
        ("webhook", {"url": "http://localhost/"}, "url"),
        ("webhook", {"url": "http://10.0.0.1/"}, "url"),
        ("webhook", {"url": "http://[::ffff:169.254.169.254]/"}, "url"),
        ("webhook", {"url": "https://example.org/", "secret": "short"}, "secret"),
        ("webhook", {"url": "https://example.org/", "secret": "whsec_c2hvcnQ="}, "secret"),
        ("webhook", {"url": "https://example.org/", "colour": "red"}, "colour"),
        ("webhook", {"url": 3}, "url"),
        ("ntfy", {}, "topic"),
        ("ntfy", {"topic": "a/b"}, "topic"),
        ("ntfy", {"topic": "a", "server": "ntfy.sh"}, "server"),
        ("ntfy", {"topic": "a", "token": "with\nline"}, "token"),
        ("telegram", {"token": "123456:" + "x" * 35}, "chat"),
        ("telegram", {"token": "nonsense", "chat": "1"}, "token"),
        ("telegram", {"token": "123456:" + "x" * 35, "chat": "someone"}, "chat"),
        ("mqtt", {"topic": "iot/#"}, "topic"),
        ("mqtt", {"topic": "iot/measurements"}, "topic"),
        ("mqtt", {"topic": "iot/status/board"}, "topic"),
        ("mqtt", {"topic": "$SYS/alerts"}, "topic"),
        ("mqtt", {"topic": "iot/alerts", "retained": "maybe"}, "retained"),
        ("email", {}, "to"),
        ("email", {"to": "nobody"}, "to"),
        ("email", {"to": "ana@example.org\nnobody"}, "to"),
        ("carrier pigeon", {}, "kind"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_field(
    kind: str, given: dict[str, Any], field: str, settings: Any
) -> None:
    settings.MQTT_URL, settings.EMAIL_HOST = "mqtt://127.0.0.1:1", "127.0.0.1"
    settings.MQTT_TOPICS, settings.MQTT_STATUS_TOPICS = ["iot/measurements"], ("iot/status/+",)
    assert wrong(kind, given) == {field}


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("webhook", {"url": " https://example.org/x?y ", "secret": SECRET}, {"secret": SECRET}),
        ("ntfy", {"topic": "t"}, {"server": "https://ntfy.sh", "topic": "t", "token": ""}),
        ("telegram", {"token": "1:" + "x" * 35, "chat": "-10012"}, {"chat": "-10012"}),
        ("mqtt", {"topic": "iot/alerts", "retained": True}, {"topic": "iot/alerts", "retained": True}),
        ("email", {"to": TWO}, {"to": TWO}),
        ("email", {"to": "ana@example.org, ben@example.org\n"}, {"to": TWO}),
    ],
)  # fmt: skip
def test_settings_are_kept_as_they_are_used(
    kind: str, given: dict[str, Any], kept: dict[str, Any], settings: Any
) -> None:
    settings.MQTT_URL, settings.EMAIL_HOST = "mqtt://127.0.0.1:1", "127.0.0.1"
    found = channels.check(kind, given)
    assert {name: found[name] for name in kept} == kept
    assert set(found) == {field.name for field in channels.fields(kind)}


def test_a_secret_stays_where_none_is_given_and_is_not_shown() -> None:
    kept = channels.check("webhook", {"url": "https://example.org/"})
    assert len(webhook._key(kept["secret"]) or b"") == 32
    changed = channels.check("webhook", {"url": "https://example.org", "secret": ""}, kept)
    assert changed == {"url": "https://example.org", "secret": kept["secret"]}
    assert channels.shown("webhook", changed, may_change=True) == {
        "url": "https://example.org",
        "secret": True,
    }
    elsewhere = channels.check("webhook", {"url": "https://example.com/", "secret": ""}, kept)
    assert elsewhere["secret"] != kept["secret"]


def test_kinds_are_offered_where_they_can_be_sent_by(settings: Any) -> None:
    settings.MQTT_URL, settings.EMAIL_HOST = None, ""
    assert channels.offered() == ["webhook", "ntfy", "telegram"]
    assert wrong("email", {"to": "ana@example.org"}) == {"kind"}
    assert wrong("mqtt", {}) == wrong("apprise", {}) == {"kind"}
    settings.MQTT_URL, settings.EMAIL_HOST = "mqtt://127.0.0.1:1", "127.0.0.1"
    assert channels.offered() == ["email", "webhook", "ntfy", "telegram", "mqtt"]


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fec0::1", "fc00::1", "ff02::1",
        "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:db8::1", "240.0.0.1",
    ],
)  # fmt: skip
def test_what_is_not_of_the_internet_is_private(ip: str) -> None:
    assert not address.is_public(ip)


@pytest.mark.parametrize("ip", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_what_is_of_the_internet_is_not(ip: str) -> None:
    assert address.is_public(ip)


def test_a_name_that_turns_private_is_not_connected_to(
    web: Web, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is public when the channel is set up, and says something else when it is used."""
    settings.ALERTS_ALLOW_PRIVATE = False
    found = address.socket.getaddrinfo("127.0.0.1", web.port, type=address.socket.SOCK_STREAM)
    monkeypatch.setattr(address.socket, "getaddrinfo", lambda *args, **kwargs: found)
    kept = channels.check("webhook", {"url": f"http://rebinding.example.org:{web.port}/"})
    with pytest.raises(NotSentError, match="ALERTS_ALLOW_PRIVATE") as raised:
        channels.send("webhook", kept, MESSAGE, KEY)
    assert raised.value.is_channels_fault
    assert web.seen == []
    settings.ALERTS_ALLOW_PRIVATE = True
    channels.send("webhook", kept, MESSAGE, KEY)
    assert web.seen[0].headers["host"] == f"rebinding.example.org:{web.port}"


@pytest.mark.parametrize("ip", ["2606:4700::1111", "2606:4700::abcd"])
@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_an_ipv6_address_needs_no_port(
    ip: str, scheme: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def open_connection(host: str, port: int, *args: Any) -> NoReturn:
        asked.append((host, port))
        raise ConnectionRefusedError

    monkeypatch.setattr(http, "open_connection", open_connection)
    with pytest.raises(NotSentError):
        http.get(f"{scheme}://[{ip}]/")
    assert asked == [(ip, port)]


def test_all_addresses_of_a_host_together_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five that answer nothing, of which each may take 5 s, where 12 are left."""
    clock, waited = [100.0], []

    class Dropping(socket.socket):
        def connect(self, to: Any) -> NoReturn:
            seconds = self.gettimeout()
            assert seconds is not None
            waited.append(seconds)
            clock[0] += seconds
            raise TimeoutError

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"1.1.1.{last}", 80)) for last in range(1, 6)]
    monkeypatch.setattr(address.socket, "getaddrinfo", lambda *args, **kwargs: found)
    monkeypatch.setattr(address.socket, "socket", Dropping)
    monkeypatch.setattr(address, "monotonic", lambda: clock[0])
    with pytest.raises(TimeoutError):
        address.open_connection("dropping.example.org", 80, 5.0, ends=112.0)
    assert waited == [5.0, 5.0, 2.0]


@pytest.mark.parametrize(
    ("scheme", "first"), [("https", b""), ("http", b""), ("http", b"HTTP/1.0 200 OK\r\n\r\n")]
)
def test_whoever_never_ends_is_hung_up_on(
    scheme: str, first: bytes, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the handshake of TLS, before an answer, and within one that keeps the connection for itself."""
    settings.ALERTS_ALLOW_PRIVATE = True
    monkeypatch.setattr(http, "WHOLE_SECONDS", 0.5)
    monkeypatch.setattr(http, "SILENT_SECONDS", 60.0)
    ended = queue.Queue[bool]()

    def never_end(server: socket.socket) -> None:
        sock, _ = server.accept()
        with sock:
            sock.settimeout(20)
            sock.sendall(first)
            try:
                while sock.recv(4096):
                    pass
                ended.put(True)
            except TimeoutError:
                ended.put(False)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=never_end, args=(server,), daemon=True).start()
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/"
        if first:
            assert http.get(url).status == 200
        else:
            with pytest.raises(NotSentError, match="in time"):
                http.get(url)
        assert ended.get(timeout=30)


def test_a_name_that_was_looked_up_too_late_is_not_asked(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """There was no socket yet to shut when the time was over."""

    def open_late(host: str, port: int, *args: Any) -> socket.socket:
        for one in threading.enumerate():
            if isinstance(one, threading.Timer):
                one.join(30)
        return socket.create_connection((host, port))

    monkeypatch.setattr(http, "WHOLE_SECONDS", 0.0)
    monkeypatch.setattr(http, "open_connection", open_late)
    with pytest.raises(NotSentError, match="in time"):
        http.get(web.url)
    assert web.seen == []


# --- sending -------------------------------------------------------------------------------------


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of its specification."""
    signed = webhook.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        b'{"test": 2432232314}',
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120.0),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 +2400", None),
        ("Wed, 21 Oct 2015 07:28:00 +99999999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(said: str | None, seconds: float | None) -> None:
    assert http.seconds_of(said) == seconds
    ahead = http.seconds_of(format_datetime(datetime.now(UTC) + timedelta(hours=1)))
    assert ahead is not None
    assert 3000 < ahead <= 3600


def test_ntfy_gets_title_text_and_priority(web: Web) -> None:
    kept = channels.check(
        "ntfy", {"server": f"http://127.0.0.1:{web.port}/", "topic": "alerts", "token": "tk_1"}
    )
    channels.send("ntfy", kept, MESSAGE, KEY)
    [request] = web.seen
    body = json.loads(request.body)
    assert (body["topic"], body["title"], body["priority"]) == ("alerts", "Zu warm: Küche", 5)
    assert request.headers["authorization"] == "Bearer tk_1"
    assert ntfy.shortened("é" * 10, 10) == "ééé…"


def test_telegram_gets_the_chat_and_no_error_names_the_token(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telegram, "SERVER", f"http://127.0.0.1:{web.port}")
    token = "123456:" + "x" * 35
    kept = channels.check("telegram", {"token": token, "chat": "42"})
    channels.send("telegram", kept, MESSAGE, KEY)
    assert web.seen[0].path == f"/bot{token}/sendMessage"
    assert json.loads(web.seen[0].body)["chat_id"] == "42"
    web.answers = [(403, {})]
    with pytest.raises(NotSentError) as raised:
        channels.send("telegram", kept, MESSAGE, KEY)
    assert raised.value.is_channels_fault
    web.stop()
    with pytest.raises(NotSentError) as again:
        channels.send("telegram", kept, MESSAGE, KEY)
    assert not again.value.for_good
    assert token not in raised.value.why + again.value.why


@pytest.mark.parametrize("said", ["🔥" * 4_000, "a" + "🔥" * 4_000])
def test_telegram_gets_no_more_than_it_takes(said: str, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts units of UTF-16, and none of its letters is cut in two."""
    monkeypatch.setattr(telegram, "SERVER", f"http://127.0.0.1:{web.port}")
    kept = channels.check("telegram", {"token": "123456:" + "x" * 35, "chat": "42"})
    channels.send("telegram", kept, replace(MESSAGE, text=said), KEY)
    text = json.loads(web.seen[0].body)["text"]
    assert 3_990 < len(text.encode("utf-16-le")) // 2 <= 4_096
    assert text.startswith(MESSAGE.subject)
    assert text.endswith("🔥…")


def to(*who: str) -> dict[str, Any]:
    return channels.check("email", {"to": list(who)})


def test_mail_arrives_with_a_message_id_of_the_key(mail: Mail, settings: Any) -> None:
    settings.DEFAULT_FROM_EMAIL = "iot@example.org"
    assert channels.send("email", to("ana@example.org", "ben@example.org"), MESSAGE, KEY) == ""
    channels.send("email", to("ana@example.org"), MESSAGE, KEY)
    (recipients, first), (_, second) = mail.seen
    assert recipients == ["ana@example.org", "ben@example.org"]
    assert first["Subject"] == "Zu warm: Küche"
    assert first["From"] == "iot@example.org"
    assert first.get_content().splitlines() == MESSAGE.text.splitlines()
    assert first["Message-ID"] == second["Message-ID"] == f"<{KEY}@iot-monitor>"


def test_a_domain_of_other_letters_keeps_the_mail_from_nobody(mail: Mail) -> None:
    kept = to("ana@bücher.example", "ben@example.org")
    assert channels.shown("email", kept, may_change=True)["to"] == ["ana@bücher.example", "ben@example.org"]
    assert channels.send("email", kept, MESSAGE, KEY) == ""
    [(recipients, sent)] = mail.seen
    assert recipients == ["ana@xn--bcher-kva.example", "ben@example.org"]
    assert sent["To"] == ", ".join(recipients)


def test_a_recipient_that_there_is_not_is_the_channels_fault(mail: Mail) -> None:
    mail.refuses = {"ben@example.org": "550 no such user"}
    with pytest.raises(NotSentError, match=r"ben@example\.org: .*550 no such user") as raised:
        channels.send("email", to("ben@example.org"), MESSAGE, KEY)
    assert raised.value.is_channels_fault
    said = channels.send("email", to("ana@example.org", "ben@example.org"), MESSAGE, KEY)
    assert "ben@example.org" in said
    assert len(mail.seen) == 1


def test_a_mailbox_that_is_busy_is_tried_again(mail: Mail) -> None:
    mail.refuses = {"ben@example.org": "450 try later"}
    with pytest.raises(NotSentError) as raised:
        channels.send("email", to("ben@example.org"), MESSAGE, KEY)
    assert not raised.value.for_good


def test_a_mail_that_is_not_taken_fails_alone(mail: Mail) -> None:
    mail.refuses_data = "554 looks like spam"
    with pytest.raises(NotSentError, match="554") as raised:
        channels.send("email", to("ana@example.org"), MESSAGE, KEY)
    assert (raised.value.for_good, raised.value.is_channels_fault) == (True, False)


def test_a_mail_server_that_is_down_is_tried_again(mail: Mail, settings: Any) -> None:
    mail.stop()
    with pytest.raises(NotSentError) as raised:
        channels.send("email", to("ana@example.org"), MESSAGE, KEY)
    assert not raised.value.for_good
    mail.start()
    channels.send("email", to("ana@example.org"), MESSAGE, KEY)
    assert len(mail.seen) == 1


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("broker")).start()
    yield broker
    broker.stop()


@pytest.mark.parametrize("version", ["", "?version=3.1.1"])
def test_the_broker_has_it_when_it_counts_as_sent(version: str, broker: Broker, settings: Any) -> None:
    settings.MQTT_URL = broker.url + version
    came: queue.Queue[paho.MQTTMessage] = queue.Queue()
    ready = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    client.on_message = lambda client, userdata, message: came.put(message)
    client.on_subscribe = lambda *args: ready.set()
    client.connect("127.0.0.1", broker.port)
    client.subscribe("iot/alerts", 1)
    client.loop_start()
    try:
        assert ready.wait(30)
        channels.send("mqtt", channels.check("mqtt", {"topic": "iot/alerts"}), MESSAGE, KEY)
        message = came.get(timeout=30)
        assert (json.loads(message.payload), message.retain) == (MESSAGE.payload, False)
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_retained_message_is_there_for_who_comes_later(broker: Broker, settings: Any) -> None:
    settings.MQTT_URL = broker.url
    channels.send("mqtt", channels.check("mqtt", {"topic": "kept/alerts", "retained": True}), MESSAGE, KEY)
    found = subscribe.simple("kept/alerts", hostname="127.0.0.1", port=broker.port)
    assert isinstance(found, paho.MQTTMessage)
    assert (json.loads(found.payload), found.retain) == (MESSAGE.payload, True)


def test_a_broker_that_is_down_is_tried_again(settings: Any) -> None:
    settings.MQTT_URL = "mqtt://127.0.0.1:9"
    with pytest.raises(NotSentError) as raised:
        channels.send("mqtt", {"topic": "iot/alerts", "retained": False}, MESSAGE, KEY)
    assert raised.value.why
    assert not raised.value.for_good
