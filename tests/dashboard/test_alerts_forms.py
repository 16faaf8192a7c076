"""Rules, silences and channels as people make them on the pages; what a rule would have fired for."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from batches.store import BatchStore
from monitoring.dashboard.alerts.rule_form import ASKED, RuleForm
from monitoring.models import AlertChannel, AlertRule, Board, Incident, Mute, Sensor
from tests.alerts.conftest import too_long
from tests.dashboard.test_alerts_pages import member, text_of
from tests.rollups import rows

__all__ = ["too_long"]

pytestmark = pytest.mark.django_db

NEW = "/alerts/rules/new/"
HTMX = {"HX-Request": "true"}
MINUTE = timedelta(minutes=1)


@pytest.fixture
def warm(sensors: dict[int, Sensor], noon: datetime) -> None:
    """Sensor 1 goes past 25 twice, for ten minutes each."""
    values = [20.0] * 20 + [26.0] * 10 + [20.0] * 20 + [27.0] * 10 + [20.0] * 20
    rows.store(((1, noon + n * MINUTE, value) for n, value in enumerate(values)), "°C")


def fields(**more: Any) -> dict[str, Any]:
    """What a browser sends of a rule above 25 of sensor 1."""
    said = {"kind": "above", "sensor": "1", "high": "25", "severity": "critical", "name": "Too warm"}
    return said | {f"{name}_unit": "60" for name in ("for_s", "keep_s", "renotify_s")} | more


def test_a_rule_is_made(admin_client: Client, sensors: dict[int, Sensor]) -> None:
    hook = AlertChannel.objects.create(name="Hook", kind="webhook", settings={})
    said = fields(for_s_amount="5", keep_s_amount="1,5", clear_high="24,5", channels=[hook.pk])
    answer = admin_client.post(NEW, said | {"keep_s_amount": "1.5"})
    assert answer.headers["Location"] == "/alerts/", answer.content.decode()
    rule = AlertRule.objects.get(name="Too warm")
    assert (rule.kind, rule.high, rule.clear_high, rule.sensor_id) == ("above", 25.0, 24.5, 1)
    assert (rule.for_s, rule.keep_s, rule.severity, rule.renotify_s) == (300, 90, "critical", None)
    assert list(rule.channels.all()) == [hook]
    assert rule.created_by is not None
    assert "is saved" in text_of(admin_client.get("/alerts/"))


@pytest.mark.parametrize("kind", sorted(ASKED))
def test_each_kind_is_made_with_what_its_form_asks(
    kind: str, admin_client: Client, sensors: dict[int, Sensor]
) -> None:
    values = {"high": "0.5", "low": "-1", "window_s_amount": "5", "window_s_unit": "60", "check_of": "books"}
    said = fields(kind=kind, intervals="10", sensor="", name="") | values
    answer = admin_client.post(NEW, said)
    assert answer.status_code == 302, re.findall(r"errorlist.*", answer.content.decode())
    rule = AlertRule.objects.exclude(kind="silence").last() if kind != "silence" else AlertRule.objects.last()
    assert rule is not None
    assert rule.kind == kind
    # It is called what it says, and what is not asked of the kind is not kept.
    assert " · " in rule.name
    assert (rule.low is not None) is ("low" in ASKED[kind])
    assert (rule.check_of != "") is (kind == "pipeline")
    assert admin_client.get(f"/alerts/rules/{rule.pk}/").status_code == 200
    assert admin_client.get(f"/alerts/rules/new/?kind={kind}").status_code == 200


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"high": ""}, "high"),
        ({"high": "warm"}, "high"),
        ({"high": "inf"}, "high"),
        ({"clear_high": "26"}, "clear_high"),
        ({"for_s_amount": "-1"}, "for_s"),
        ({"for_s_amount": "99", "for_s_unit": "86400"}, "for_s"),
        ({"sensor": "99"}, "sensor"),
        ({"sensor": "Nobody"}, "sensor"),
        ({"sensor": "9" * 30}, "sensor"),
        ({"sensor": "0" * 5000 + "3"}, "sensor"),
        ({"board": "none such"}, "board"),
        ({"severity": "awful"}, "severity"),
        ({"channels": ["77"]}, "channels"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    wrong: dict[str, Any], field: str, admin_client: Client, sensors: dict[int, Sensor]
) -> None:
    before = AlertRule.objects.count()
    answer = admin_client.post(NEW, fields(**wrong))
    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == [field]
    assert 'class="errorlist"' in answer.content.decode()
    assert AlertRule.objects.count() == before


def test_a_sensor_is_named_as_people_name_it(sensors: dict[int, Sensor]) -> None:
    Sensor.objects.create(name="Twin")
    Sensor.objects.create(name="Twin")
    form = RuleForm(fields(sensor="capteur temp salon"))
    assert form.is_valid(), form.errors
    assert form.cleaned_data["sensor"].pk == 1
    form = RuleForm(fields(sensor="Twin"))
    assert "the number of one of them" in form.errors["sensor"][0]


def test_the_form_begins_with_what_the_curve_said(admin_client: Client, sensors: dict[int, Sensor]) -> None:
    text = text_of(admin_client.get(NEW + "?sensor=3&below=-2.5"))
    assert re.search(r'name="low" value="-2.5"', text)
    assert re.search(r'name="sensor" value="3"', text)
    assert '<option value="below" selected>' in text
    assert "Capteur Lumière Salon" in text
    # The fields of other kinds are there for the script, hidden and not sent.
    assert re.search(
        r'data-kinds="above outside rate stuck rejected" hidden>.*?name="high"[^>]* disabled', text
    )
    long = ("9" * 40, "0" * 5000 + "3", "1".ljust(5000, "0"))
    for nonsense in (
        "?sensor=x&above=y",
        "?kind=nonsense",
        "?above=nan",
        *(f"?sensor={one}" for one in long),
    ):
        assert admin_client.get(NEW + nonsense).status_code == 200


def test_without_a_script_another_kind_shows_its_fields(admin_client: Client, db: None) -> None:
    text = text_of(admin_client.post(NEW, fields(kind="silence", sensor="", choose="1")))
    assert re.search(r'data-kinds="silence">.*?name="limit_s_amount"', text, re.S)
    assert "errorlist" not in text


def test_without_a_script_nothing_that_was_typed_is_lost(
    admin_client: Client, sensors: dict[int, Sensor]
) -> None:
    for name in ("attic", "kitchen"):
        Board.objects.create(name=name, online=True, since=datetime.now(UTC))
    hooks = [AlertChannel.objects.create(name=f"{n}", kind="webhook", settings={}) for n in range(3)]
    assert admin_client.post(NEW, fields(board="attic", channels=[hooks[2].pk])).status_code == 302
    rule = AlertRule.objects.get(name="Too warm")
    typed = {"sensor": "Capteur Lumière Salon", "board": "kitchen", "keep_s_amount": "soon"}
    said = fields(kind="below", low="2,5", for_s_amount="7", for_s_unit="3600", **typed)
    said |= {"channels": [hooks[0].pk, hooks[1].pk], "choose": "1"}
    for path in (NEW, f"/alerts/rules/{rule.pk}/"):
        text = text_of(admin_client.post(path, said))
        for name, value in {**typed, "low": "2,5", "for_s_amount": "7", "name": "Too warm"}.items():
            assert re.search(rf'name="{name}" value="{value}"', text), name
        assert re.search(r'name="for_s_unit".*?<option value="3600" selected>', text, re.S)
        assert re.findall(r'name="channels" value="(\d+)"[^>]* checked', text) == [
            str(hooks[0].pk),
            str(hooks[1].pk),
        ]
        assert "errorlist" not in text
    # What the kind that was shown has no field of is as it is kept.
    again = text_of(admin_client.post(f"/alerts/rules/{rule.pk}/", {"kind": "above", "choose": "1"}))
    assert re.search(r'name="high" value="25"', again)
    assert re.search(r'name="sensor" value="1"', again)
    assert re.search(r'name="board" value="attic"', again)


def test_it_is_tried_on_what_was_measured(admin_client: Client, warm: None) -> None:
    before = AlertRule.objects.count()
    said = text_of(admin_client.post(NEW, fields(**{"try": "1"}), headers=HTMX))
    assert "<html" not in said
    assert "would have fired <b>2 times</b>" in said
    (spans,) = re.findall(r'id="tried-spans" type="application/json">(.*?)</script>', said)
    assert [(one["to"] - one["from"]) / 60_000 for one in json.loads(spans)] == [10, 10]
    # The same without a script, and nothing is saved.
    assert "would have fired <b>2 times</b>" in text_of(admin_client.post(NEW, fields(**{"try": "1"})))
    assert "would not have fired" in text_of(
        admin_client.post(NEW, fields(**{"try": "1", "for_s_amount": "30"}), headers=HTMX)
    )
    many = text_of(admin_client.post(NEW, fields(**{"try": "1", "sensor": ""}), headers=HTMX))
    assert "would have fired <b>2 times</b>" in many
    assert "Capteur Temp Salon" in many
    assert AlertRule.objects.count() == before


def test_of_what_is_tried_the_last_spans_are_drawn(
    admin_client: Client, warm: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.dashboard.alerts.rules.MOST_SPANS", 1)
    said = text_of(admin_client.post(NEW, fields(**{"try": "1"}), headers=HTMX))
    assert "would have fired <b>2 times</b>" in said
    (spans,) = re.findall(r'id="tried-spans" type="application/json">(.*?)</script>', said)
    assert len(json.loads(spans)) == 1


def test_what_takes_too_long_to_try_says_so(admin_client: Client, warm: None, too_long: None) -> None:
    for sensor in ("1", ""):
        said = admin_client.post(NEW, fields(**{"try": "1", "sensor": sensor}), headers=HTMX)
        assert "It takes too long" in text_of(said)


def test_it_is_tried_as_often_as_the_api_lets_somebody_send(
    admin_client: Client, warm: None, settings: Any, store: BatchStore
) -> None:
    settings.THROTTLE_POST = "2/minute"
    tries = [text_of(admin_client.post(NEW, fields(**{"try": "1"}), headers=HTMX)) for _ in range(3)]
    store.redis.flushdb()
    assert [("Too many attempts" in said, "2 times" in said) for said in tries] == [
        *[(False, True)] * 2,
        (True, False),
    ]


def test_what_cannot_be_tried_says_why(admin_client: Client, sensors: dict[int, Sensor]) -> None:
    def tried(**more: Any) -> str:
        return text_of(admin_client.post(NEW, fields(**{"try": "1"} | more), headers=HTMX))

    assert "cannot be tried on the past" in tried(kind="board", sensor="")
    assert "Nothing was measured" in tried()
    assert "Alert me above – " in tried(high="")


def test_a_rule_is_changed_switched_and_deleted(admin_client: Client, sensors: dict[int, Sensor]) -> None:
    admin_client.post(NEW, fields())
    rule = AlertRule.objects.get(name="Too warm")
    path = f"/alerts/rules/{rule.pk}/"
    assert re.search(r'name="high" value="25"', text_of(admin_client.get(path)))
    now = datetime.now(UTC)
    Incident.objects.create(
        rule=rule, title=rule.name, kind="above", severity="critical", sensor_id=1, subject="sensor:1",
        since=now, fired_at=now, seen_at=now,
    )  # fmt: skip
    assert admin_client.post(path, fields(high="26")).headers["Location"] == path
    rule.refresh_from_db()
    assert (rule.high, rule.version) == (26.0, 2)
    admin_client.post(path + "switch/", {"enabled": "0"})
    rule.refresh_from_db()
    assert not rule.enabled
    assert Incident.objects.get().end == "changed"
    assert "Switch on" in text_of(admin_client.get("/alerts/rules/"))
    assert "Delete this rule?" in text_of(admin_client.get(path + "delete/"))
    assert AlertRule.objects.filter(pk=rule.pk).exists()
    admin_client.post(path + "delete/")
    assert not AlertRule.objects.filter(pk=rule.pk).exists()
    assert "Too warm" in text_of(admin_client.get("/alerts/"))


def test_a_rule_of_a_board_is_shown_as_it_was_made(admin_client: Client, sensors: dict[int, Sensor]) -> None:
    Board.objects.create(name="kitchen", online=True, since=datetime.now(UTC))
    assert admin_client.post(NEW, fields(kind="board", board="kitchen")).status_code == 302
    rule = AlertRule.objects.get(kind="board")
    # What the kind does not ask is left out, and so is the sensor that was sent with it.
    assert rule.sensor_id is None
    assert re.search(r'name="board" value="kitchen"', text_of(admin_client.get(f"/alerts/rules/{rule.pk}/")))


def test_a_silence_is_made_by_the_viewers_clock_and_ended(
    admin_client: Client, sensors: dict[int, Sensor]
) -> None:
    admin_client.cookies["zone"] = "Asia/Kathmandu"
    said = {"sensor": "2", "starts_at": "2026-01-28T12:00", "weekdays": ["5", "6"], "from_time": "22:00"}
    answer = admin_client.post("/alerts/silences/new/", said | {"to_time": "06:30", "comment": "Nights"})
    assert answer.status_code == 302, answer.content.decode()
    mute = Mute.objects.get()
    assert (mute.zone, mute.starts_at.isoformat()) == ("Asia/Kathmandu", "2026-01-28T06:15:00+00:00")
    assert (mute.weekdays, str(mute.from_time), mute.sensor_id) == ([5, 6], "22:00:00", 2)
    text = text_of(admin_client.get("/alerts/silences/"))
    assert "Saturday, Sunday, 22:00 to 06:30 (Asia/Kathmandu)" in text
    assert "28 Jan. 2026, 12:00" in text
    admin_client.post(f"/alerts/silences/{mute.pk}/end/")
    mute.refresh_from_db()
    assert mute.ends_at is not None
    assert "Those that are over" in text_of(admin_client.get("/alerts/silences/"))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"starts_at": ""}, "starts_at"),
        ({"ends_at": "2026-01-28T11:00"}, "ends_at"),
        # Of a zone to the east there is no such moment, and the page would be none for anybody there.
        ({"ends_at": "9999-12-31T23:59"}, "ends_at"),
        ({"starts_at": "0001-01-02T00:00"}, "starts_at"),
        ({"sensor": "99"}, "sensor"),
        ({"weekdays": ["7"]}, "weekdays"),
        ({"from_time": "22:00", "to_time": "22:00"}, "to_time"),
        ({"rule": "99"}, "rule"),
    ],
)
def test_a_wrong_silence_is_said_at_its_field(
    wrong: dict[str, Any], field: str, admin_client: Client, sensors: dict[int, Sensor]
) -> None:
    answer = admin_client.post("/alerts/silences/new/", {"starts_at": "2026-01-28T12:00"} | wrong)
    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == [field]
    assert not Mute.objects.exists()


@pytest.fixture
def mailer(settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.org"


def test_a_channel_is_made_tested_and_its_secret_is_never_shown(
    admin_client: Client, settings: Any, mailer: None
) -> None:
    assert "?kind=email" in text_of(admin_client.get("/alerts/channels/new/"))
    path = "/alerts/channels/new/?kind=ntfy"
    secret = "tk_never_shown"
    said = {"name": "Phone", "group_s": "10", "setting_topic": "", "setting_token": secret}
    answer = admin_client.post(path, said)
    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == ["setting_topic"]
    said |= {"setting_topic": "attic", "setting_server": "https://ntfy.invalid"}
    assert admin_client.post(path, said).status_code == 302
    channel = AlertChannel.objects.get()
    assert channel.settings["token"] == secret
    page = f"/alerts/channels/{channel.pk}/"
    for one in (page, "/alerts/channels/"):
        assert secret not in text_of(admin_client.get(one))
    # Left empty it stays.
    assert admin_client.post(page, said | {"setting_token": "", "name": "Phone 2"}).status_code == 302
    channel.refresh_from_db()
    assert (channel.name, channel.settings["token"]) == ("Phone 2", secret)
    # A host that there is none of: said where the button stands, and in the list.
    assert "The test failed:" in text_of(admin_client.post(page + "test/", headers=HTMX))
    assert "The last error:" in text_of(admin_client.get("/alerts/channels/"))


def test_an_address_that_is_a_key_is_shown_to_those_who_may_change_it(
    admin_client: Client, django_user_model: Any
) -> None:
    hook = {"url": "https://hooks.example/services/T0/k3y", "secret": ""}
    phone = {"server": "https://ntfy.example", "topic": "t0pic", "token": ""}
    AlertChannel.objects.create(name="Chat", kind="webhook", settings=hook)
    AlertChannel.objects.create(name="Phone", kind="ntfy", settings=phone)
    seen = text_of(admin_client.get("/alerts/channels/"))
    assert hook["url"] in seen
    assert "https://ntfy.example, t0pic" in seen
    seen = text_of(member(django_user_model, "operator").get("/alerts/channels/"))
    assert "https://hooks.example/… " in seen
    assert "https://ntfy.example, topic: set " in seen
    assert "k3y" not in seen
    assert "t0pic" not in seen


def test_what_is_off_for_good_says_why_and_is_switched_on(admin_client: Client, db: None) -> None:
    channel = AlertChannel.objects.create(
        name="Phone", kind="ntfy", settings={"topic": "attic"}, enabled=False,
        disabled_why="the receiver answers 403", disabled_at=datetime.now(UTC),
    )  # fmt: skip
    assert "the receiver answers 403" in text_of(admin_client.get("/alerts/channels/"))
    admin_client.post(f"/alerts/channels/{channel.pk}/switch/", {"enabled": "1"})
    channel.refresh_from_db()
    assert (channel.enabled, channel.disabled_why, channel.disabled_at) == (True, "", None)
    admin_client.post(f"/alerts/channels/{channel.pk}/delete/")
    assert not AlertChannel.objects.exists()


def test_a_kind_that_cannot_be_sent_by_says_what_is_missing(
    admin_client: Client, settings: Any, db: None
) -> None:
    settings.EMAIL_HOST = ""
    answer = admin_client.get("/alerts/channels/new/?kind=email")
    assert answer.status_code == 400
    assert "EMAIL_URL" in answer.content.decode()
    assert admin_client.get("/alerts/channels/new/?kind=pigeon").status_code == 400
    assert mail.outbox == []


def test_a_sensors_page_has_its_incidents(
    settings: Any, sensors: dict[int, Sensor], noon: datetime, now: datetime
) -> None:
    settings.API_PUBLIC_READ = True
    its = {"title": "Too warm", "kind": "above", "severity": "warning", "sensor_id": 1, "subject": "sensor:1"}

    def incident(at: datetime, minutes: int | None, **more: Any) -> int:
        end = None if minutes is None else at + minutes * MINUTE
        state = "resolved" if end else "firing"
        times = {"since": at, "fired_at": at, "seen_at": at, "resolved_at": end, "state": state}
        return Incident.objects.create(**its | times | more).pk

    old = incident(noon - timedelta(days=3), 5, peak=30.0)
    within = incident(noon, 5, peak=27.5)
    incident(noon, 5, sensor_id=2)
    incident(noon, 5, state="withdrawn")
    fires = incident(now - 10 * MINUTE, None)
    first, last = noon - timedelta(hours=1), noon + timedelta(hours=1)
    span = f"from={first:%Y-%m-%dT%H:%M:%SZ}&to={last:%Y-%m-%dT%H:%M:%SZ}"
    found = Client().get(f"/sensors/1/incidents/?{span}").json()["incidents"]
    # What fires now is said whatever the span.
    assert [one["id"] for one in found] == [fires, within]
    assert (found[1]["to"] - found[1]["from"], found[1]["peak"]) == (300_000, "27.5\u00a0°C")
    page = Client().get(f"/sensors/1/?{span}").content.decode()
    data = json.loads(re.findall(r'<script id="first" type="application/json">(.*?)</script>', page)[0])
    assert data["incidents"] == found
    assert f'data-incident="{fires}"' in page
    assert "/alerts/rules/new/" not in page
    long = Client().get("/sensors/1/incidents/?range=7d").json()["incidents"]
    assert [one["id"] for one in long] == [fires, within, old]
    assert Client().get("/sensors/1/incidents/?range=soon").status_code == 400
    assert Client().get("/sensors/9/incidents/").status_code == 404


def test_from_a_curve_somebody_who_may_is_led_to_the_form(
    admin_client: Client, sensors: dict[int, Sensor]
) -> None:
    assert text_of(admin_client.get("/sensors/3/")).count("/alerts/rules/new/?sensor=3") == 3
