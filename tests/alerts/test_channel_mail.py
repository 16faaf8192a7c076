"""Mail, by a real SMTP server."""

from typing import Any

import pytest

from monitoring.alerts import channels
from monitoring.alerts.channels import NotSentError
from tests.alerts.conftest import KEY, MESSAGE
from tests.alerts.receivers import Mail


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
