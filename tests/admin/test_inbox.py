"""The inbox: what waits, one by one and many at once."""

from datetime import datetime, timedelta
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from monitoring.admin import groups_page, many_messages
from monitoring.models import Job, Measurement, RejectedMessage
from monitoring.rejected import jobs
from monitoring.upkeep.pieces import TimeShare
from tests.admin.conftest import HOSTILE, signed_in
from tests.rejected.conftest import Reject, reading, register

pytestmark = pytest.mark.django_db

INBOX = reverse("admin:monitoring_rejectedmessage_changelist")
MANY = reverse("admin:monitoring_rejectedmessage_many")
LOBBY = reverse("admin:monitoring_rejectedmessage_lobby")
TEXT = b'{"sensor_id": 1, "value": "x"}'


def address(row: RejectedMessage) -> str:
    return reverse("admin:monitoring_rejectedmessage_change", args=[row.pk])


def text(client: Client, url: str, *args: object, **more: object) -> str:
    answer = client.get(url, *args, **more)  # type: ignore[arg-type]
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def posted(client: Client, url: str, **form: object) -> str:
    """What is shown in the end."""
    return unescape(client.post(url, form, follow=True).content.decode())


# --- groups -----------------------------------------------------------------------------------------------


def test_it_opens_on_groups_that_lead_to_their_messages(admin: Client, reject: Reject) -> None:
    reject(*(reading(12, value) for value in range(3)), TEXT)
    answer = admin.get(INBOX)
    lines = answer.context["lines"]
    assert {(line.code, line.messages) for line in lines} == {("unknown_sensor", "3"), ("bad_type", "1")}
    unknown = next(line for line in lines if line.code == "unknown_sensor")
    assert "No sensor has this id" in unknown.meaning
    assert unknown.sensor.url == f"{LOBBY}?only=12"
    shown = admin.get(unknown.url).context["cl"].lines
    assert {line.row.sensors[0] for line in shown} == {12}
    assert len(shown) == 3


def test_a_group_that_names_no_sensor_leads_to_those_that_name_none(admin: Client, reject: Reject) -> None:
    nameless, named = b'{"sensor_id": "x", "value": 1}', b'{"sensor_id": 1, "value": "x"}'
    reject(nameless, named, named)
    lines = {line.messages: line for line in admin.get(INBOX).context["lines"]}
    assert lines["1"].sensor is None
    shown = admin.get(lines["1"].url)
    assert [bytes(line.row.payload) for line in shown.context["cl"].lines] == [nameless]
    assert "sensor: none" in unescape(shown.content.decode())
    asked = lines["1"].url.partition("?")[2]
    assert "1 message waits." in posted(admin, f"{MANY}?{asked}", do="dismiss", scope="all")
    assert "no sensor named" in posted(admin, f"{MANY}?{asked}", do="dismiss", scope="all", confirmed="1")


def test_groups_come_in_pages(admin: Client, reject: Reject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups_page, "LINES", 2)
    reject(*(reading(sensor) for sensor in range(12, 17)))
    found = [[line.url for line in admin.get(INBOX, {"g": page}).context["lines"]] for page in (1, 2, 3)]
    assert [len(page) for page in found] == [2, 2, 1]
    assert len({url for page in found for url in page}) == 5
    for nonsense in ("9", "0", "x", "-1", "9" * 30):
        assert admin.get(INBOX, {"g": nonsense}).status_code == 200


def test_an_empty_inbox_says_so(admin: Client, db: None) -> None:
    assert "Nothing waits." in text(admin, INBOX)
    assert "No message is like that." in text(admin, INBOX, {"state__exact": "waiting"})


# --- the list -----------------------------------------------------------------------------------------------


def test_the_list_is_narrowed_down(admin: Client, reject: Reject, noon: datetime) -> None:
    rows = reject(reading(12), reading(13), TEXT, at=noon)
    RejectedMessage.objects.filter(pk=rows[2].pk).update(state="dismissed", topic="")
    day = f"{noon:%Y-%m-%d}"

    def found(**query: str) -> list[int]:
        lines = admin.get(INBOX, query).context["cl"].lines
        return sorted(rows.index(line.row) for line in lines)

    assert found(p="1") == [0, 1, 2]
    assert found(state__exact="waiting") == [0, 1]
    assert found(code="bad_type") == [2]
    assert found(sensor="12") == [0]
    assert found(sensor="12", code="bad_type") == []
    assert found(topic="iot/measurements") == [0, 1]
    assert found(topic="(none)") == [2]
    assert found(sensor="", topic="", code="unknown_sensor") == [0, 1]
    assert found(received_at_from_0=day, received_at_from_1="12:00:01") == []
    for nonsense in ("x", "-1", "1.5", "9" * 30, "\0", "²"):
        assert found(sensor=nonsense) == []
        assert found(topic=nonsense) == []


def test_a_sensor_is_a_link(admin: Client, reject: Reject) -> None:
    reject(reading(12), TEXT)
    html = text(admin, INBOX, {"p": 1})
    assert f'href="{LOBBY}?only=12"' in html
    assert f'href="{reverse("admin:monitoring_sensor_change", args=[1])}"' in html


def test_nothing_hostile_gets_through(admin: Client, data: datetime) -> None:
    for url in (
        INBOX,
        f"{INBOX}?p=1",
        f"{INBOX}?topic=<i>x",
        LOBBY,
        *map(address, RejectedMessage.objects.all()),
    ):
        html = admin.get(url).content.decode()
        for evil in ("<script>alert", "<i>x", "<b>", '"<script>'):
            assert evil not in html, url


def test_whoever_may_only_see_finds_no_buttons(viewer: Client, reject: Reject) -> None:
    (row,) = reject(reading(12))
    for url in (f"{INBOX}?p=1", address(row), LOBBY):
        html = text(viewer, url)
        assert 'name="do"' not in html
        assert 'name="marked"' not in html
    for do in ("look", "replay", "dismiss"):
        assert viewer.post(address(row), {"do": do, "payload": "x"}).status_code == 403
        assert viewer.post(f"{MANY}?p=1", {"do": do, "scope": "all"}).status_code == 403
    assert viewer.get(MANY).status_code == 403
    row.refresh_from_db()
    assert row.state == "waiting"
    assert not Job.objects.exists()


def test_strangers_see_none_of_it(client: Client, reject: Reject) -> None:
    (row,) = reject(reading(12))
    for url in (INBOX, MANY, LOBBY, address(row)):
        assert "/login/" in client.get(url)["Location"]
    signed_in(client, "nobody's")
    for url in (INBOX, f"{INBOX}?p=1", MANY, LOBBY, address(row)):
        assert client.get(url).status_code == 403, url


def test_a_form_of_another_site_changes_nothing(reject: Reject, admin_user: User) -> None:
    (row,) = reject(reading(12))
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    for url in (MANY, LOBBY, address(row)):
        assert client.post(url, {"do": "dismiss"}).status_code == 403


# --- one message --------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_come_of_it(admin: Client, reject: Reject) -> None:
    (row,) = reject(TEXT)
    html = posted(admin, address(row), do="look", payload=TEXT.decode())
    assert "1 reading would be rejected again: bad_type 1." in html
    mended = '{"sensor_id": 1, "value": 7}'
    html = posted(admin, address(row), do="look", payload=mended)
    assert "1 reading would be stored." in html
    assert "The first: sensor 1 at " in html
    assert mended in html, "what was typed stays in the form"
    assert not Measurement.objects.exists()
    row.refresh_from_db()
    assert (row.state, row.replayed_at) == ("waiting", None)


def test_it_is_replayed_as_it_came(admin: Client, reject: Reject) -> None:
    (row,) = reject(b'{"sensor_id": 12,\r\n "value": 1}\n')
    register(12)
    # As a browser sends it: CRLF at each end of a line.
    html = posted(admin, address(row), do="replay", payload='{"sensor_id": 12,\r\n "value": 1}\r\n')
    assert "1 reading was stored." in html
    row.refresh_from_db()
    assert (row.state, row.changed_payload) == ("replayed", None)
    assert row.replayed_by == User.objects.get()
    measurement = Measurement.objects.get()
    assert measurement.created_at == row.received_at
    assert "It became a measurement" in html
    link = admin.get(address(row)).context["became"]["url"]
    (found,) = admin.get(link).context["cl"].result_list
    assert found == measurement
    assert "It does not wait any more" in posted(admin, address(row), do="replay", payload="")
    assert "It does not wait any more" in posted(admin, address(row), do="dismiss")


def test_what_somebody_wrote_is_stored_in_its_place(admin: Client, reject: Reject, noon: datetime) -> None:
    rows = reject(TEXT, b"\xff\xfe<b>")
    for place, row in enumerate(rows):
        written = reading(1, place, ts=noon.timestamp() + place).decode()
        posted(admin, address(row), do="replay", payload=written)
        row.refresh_from_db()
        assert row.state == "replayed", row.outcome
        assert bytes(row.changed_payload or b"").decode() == written
        assert "What was stored instead" in text(admin, address(row))
    assert {one.value for one in Measurement.objects.all()} == {0, 1}


def test_what_is_refused_again_stays_and_says_why(admin: Client, reject: Reject) -> None:
    (row,) = reject(TEXT)
    html = posted(admin, address(row), do="replay", payload='{"sensor_id": 1, "value": "y"}')
    assert "1 reading was rejected again: bad_type 1." in html
    row.refresh_from_db()
    assert row.state == "waiting"


def test_what_was_cut_is_replayed_only_as_something_else(admin: Client, reject: Reject) -> None:
    (row,) = reject(b'{"sensor_id": 1, "note": "' + b"x" * 20_000 + b'"}')
    beginning = bytes(row.payload).decode()
    assert "cannot be replayed as it is" in text(admin, address(row))
    for do in ("look", "replay"):
        assert "Only its beginning was kept: write down" in posted(
            admin, address(row), do=do, payload=beginning
        )
    posted(admin, address(row), do="replay", payload='{"sensor_id": 1, "value": 3}')
    assert Measurement.objects.get().value == 3


def test_a_payload_that_is_no_text_goes_as_it_is_unless_somebody_writes(
    admin: Client, reject: Reject
) -> None:
    (row,) = reject(b"\xff\xfe<b>")
    assert "not_utf8 1" in posted(admin, address(row), do="look", payload="")
    assert "It is no text." in text(admin, address(row))


@pytest.mark.parametrize(
    "payload", [HOSTILE, b'{"sensor_id": 1, "value": "\xe2\x80\xae"}\0', b" \r\n\ttab\r"]
)
def test_what_a_form_gives_back_unchanged_is_no_change(admin: Client, reject: Reject, payload: bytes) -> None:
    (row,) = reject(payload)
    typed = admin.get(address(row)).context["typed"].replace("\n", "\r\n")
    posted(admin, address(row), do="replay", payload=typed)
    row.refresh_from_db()
    assert row.replayed_at is not None
    assert row.changed_payload is None
    assert admin.get(address(row)).context["is_edited"] is False


def test_it_is_dismissed_with_a_reason(admin: Client, reject: Reject) -> None:
    (row,) = reject(TEXT)
    assert "at most 200" in posted(admin, address(row), do="dismiss", reason="x" * 201)
    html = posted(admin, address(row), do="dismiss", reason="a typo <b>")
    assert "It is dismissed." in html
    assert "a typo &lt;b&gt;" in admin.get(address(row)).content.decode()
    row.refresh_from_db()
    assert (row.state, row.outcome) == ("dismissed", "a typo <b>")
    assert 'name="payload"' not in text(admin, address(row))


def test_a_message_has_its_neighbours(admin: Client, reject: Reject) -> None:
    rows = reject(reading(12), TEXT, reading(13), reading(14))
    context = admin.get(address(rows[2])).context
    assert (context["older"], context["newer"]) == (address(rows[0]), address(rows[3]))
    context = admin.get(address(rows[1])).context
    assert (context["older"], context["newer"]) == (None, None)


def test_a_message_that_is_gone_leads_back(admin: Client, db: None) -> None:
    for wrong in ("7", "x"):
        assert admin.get(reverse("admin:monitoring_rejectedmessage_change", args=[wrong])).status_code == 302


# --- many ---------------------------------------------------------------------------------------------------


@pytest.fixture
def three_kinds(reject: Reject) -> list[RejectedMessage]:
    """Of twelve, ten that would be stored, one that would be refused again, one that was cut."""
    rows = reject(*(reading(12, value) for value in range(10)), reading(13), b"x" * 20_000)
    register(12)
    return rows


def test_a_whole_filter_is_looked_at_and_then_replayed(
    admin: Client, three_kinds: list[RejectedMessage]
) -> None:
    url = f"{MANY}?code=unknown_sensor&state__exact=waiting"
    html = posted(admin, url, do="replay", scope="all")
    assert "11 messages wait." in html
    assert "11 messages can be replayed." in html
    assert "10 readings would be stored." in html
    assert "1 reading would be rejected again: unknown_sensor 1." in html
    assert not Job.objects.exists()
    assert not Measurement.objects.exists()
    answer = admin.post(url, {"do": "replay", "scope": "all", "confirmed": "1"})
    job = Job.objects.get()
    assert answer["Location"] == reverse("admin:monitoring_job_change", args=[job.pk])
    assert job.selection == {"code": "unknown_sensor"}
    jobs.work(TimeShare())
    assert Measurement.objects.count() == 10
    html = text(admin, answer["Location"])
    for seen in ("11 of 11 messages", "10 stored", "1 rejected again", "code unknown_sensor"):
        assert seen in html


def test_those_marked_are_dismissed(admin: Client, three_kinds: list[RejectedMessage]) -> None:
    marked = [three_kinds[0].pk, three_kinds[11].pk]
    html = posted(admin, f"{MANY}?p=1", do="dismiss", scope="marked", marked=marked)
    assert "2 messages wait." in html
    assert "1 message cannot be replayed: only its beginning was kept." in html
    form = {"do": "dismiss", "scope": "marked", "marked": marked, "confirmed": "1", "reason": "a test"}
    admin.post(f"{MANY}?p=1", form)
    jobs.work(TimeShare())
    dismissed = RejectedMessage.objects.filter(state="dismissed")
    assert sorted(row.pk for row in dismissed) == marked
    assert {row.outcome for row in dismissed} == {"a test"}
    html = text(admin, reverse("admin:monitoring_job_change", args=[Job.objects.get().pk]))
    assert "2 messages that were marked" in html
    assert "2 dismissed" in html


def test_a_dry_run_of_many_changes_nothing(admin: Client, three_kinds: list[RejectedMessage]) -> None:
    form = {"do": "look", "scope": "all", "confirmed": "1"}
    assert "10 readings would be stored." in posted(admin, f"{MANY}?sensor=12", **form)
    assert not Job.objects.exists()


def test_a_large_dry_run_says_that_there_is_more(
    admin: Client, three_kinds: list[RejectedMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many_messages, "LOOKED_AT", 4)
    monkeypatch.setattr(jobs, "PIECE", 2)
    html = posted(admin, f"{MANY}?p=1", do="look", scope="all")
    assert "Of 11 messages the first 4 were looked at." in html


def test_a_filter_by_time_is_kept_by_the_job(admin: Client, reject: Reject, noon: datetime) -> None:
    for hour in range(3):
        reject(reading(12, hour), at=noon + timedelta(hours=hour))
    one = noon + timedelta(hours=1)
    day, clock = f"{one:%Y-%m-%d}", f"{one:%H:%M:%S}"
    query = (
        f"received_at_from_0={day}&received_at_from_1={clock}&received_at_to_0={day}&received_at_to_1={clock}"
    )
    admin.post(
        f"{MANY}?{query}&sensor=12&topic=iot/measurements", {"do": "replay", "scope": "all", "confirmed": "1"}
    )
    job = Job.objects.get()
    assert set(job.selection) == {"sensor", "topic", "start", "until"}
    register(12)
    jobs.work(TimeShare())
    assert [row.value for row in Measurement.objects.all()] == [1]


def test_what_does_not_wait_is_no_matter_of_a_job(admin: Client, three_kinds: list[RejectedMessage]) -> None:
    """The filter lets through what was replayed, and nothing of that waits."""
    url = f"{MANY}?state__exact=replayed"
    assert "0 messages wait." in posted(admin, url, do="dismiss", scope="all")
    admin.post(url, {"do": "dismiss", "scope": "all", "confirmed": "1"})
    jobs.work(TimeShare())
    assert RejectedMessage.objects.waiting().count() == 12
    assert admin.post(f"{MANY}?p=999", {"do": "look", "scope": "all"})["Location"] == INBOX


def test_nothing_marked_is_nothing_done(admin: Client, three_kinds: list[RejectedMessage]) -> None:
    for form in (
        {"do": "dismiss", "confirmed": "1"},
        {"do": "dismiss", "scope": "marked", "confirmed": "1", "marked": ["x", "9" * 30]},
    ):
        assert "Mark some messages first." in posted(admin, f"{MANY}?p=1", **form)
    for form in ({}, {"do": "x"}, {"do": "replay", "scope": "x"}):
        assert admin.post(f"{MANY}?p=1", form)["Location"] == f"{INBOX}?p=1"
    assert not Job.objects.exists()


# --- jobs ---------------------------------------------------------------------------------------------------


def test_a_job_is_stopped(admin: Client, three_kinds: list[RejectedMessage], client: Client) -> None:
    admin.post(f"{MANY}?p=1", {"do": "replay", "scope": "all", "confirmed": "1"})
    job = Job.objects.get()
    url = reverse("admin:monitoring_job_change", args=[job.pk])
    html = text(admin, url)
    assert "data-watch" in html
    assert "everything that waits" in html
    assert "It stops after the piece that it is at." in posted(admin, url, do="stop")
    jobs.work(TimeShare())
    job.refresh_from_db()
    assert job.state == "stopped"
    assert "data-watch" not in text(admin, url)
    assert "stopped" in text(admin, reverse("admin:monitoring_job_changelist"))


def test_a_viewer_sees_jobs_and_stops_none(viewer: Client, reject: Reject) -> None:
    from monitoring.rejected.selection import Selection

    job = jobs.request(Job.Kind.REPLAY, Selection(code="bad_type", topic="<b>", detail="<i>"), None)
    url = reverse("admin:monitoring_job_change", args=[job.pk])
    for page in (url, reverse("admin:monitoring_job_changelist")):
        html = viewer.get(page).content.decode()
        assert "&lt;b&gt;" in html
        assert "<b>" not in html
        assert "<i>" not in html
    assert viewer.post(url, {"do": "stop"}).status_code == 403
    job.refresh_from_db()
    assert not job.stop_requested


# --- the overview -------------------------------------------------------------------------------------------


def test_the_tile_counts_what_waits(admin: Client, reject: Reject) -> None:
    from tests.admin.test_pages import tile

    assert tile(admin, "Rejected") == ("0", "readings wait; 0 rejected in the last 24 hours", False)
    (row,) = reject(TEXT)
    assert tile(admin, "Rejected") == ("1", "reading waits; 1 rejected in the last 24 hours", True)
    posted(admin, address(row), do="dismiss")
    assert tile(admin, "Rejected") == ("0", "readings wait; 1 rejected in the last 24 hours", False)
