"""What webhooks, ntfy and Telegram get."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from monitoring.alerts import channels
from monitoring.alerts.channels import NotSentError, http, ntfy, telegram, webhook
from tests.alerts.conftest import KEY, MESSAGE
from tests.alerts.receivers import Web


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
