"""Sends e-mail through the server of EMAIL_URL."""

import smtplib
from typing import Any

from django.conf import settings as site
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.smtp import EmailBackend
from django.core.validators import validate_email
from django.utils.encoding import punycode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from monitoring.alerts.channels.field import Field
from monitoring.alerts.channels.outcome import NotSentError
from monitoring.alerts.message import Message

SECONDS = 10


def _address(text: str) -> str:
    try:
        validate_email(text)
    except ValidationError:
        raise ValueError(gettext("%s is not an e-mail address.") % text[:100]) from None
    return text


FIELDS = (
    Field("to", _("to"), "lines", required=True, check=_address, longest=2000, help=_("One address a line.")),
)


def send(settings: dict[str, Any], message: Message, key: str) -> str:
    """Returns which of the recipients the server refused, where it took the message for others. Raises
    NotSentError. `key` becomes the Message-ID, by which a mailbox may deduplicate a retry."""
    if not site.EMAIL_HOST:
        raise NotSentError(gettext("no mail server is set: EMAIL_URL"))
    mail = EmailMessage(
        " ".join(message.subject.split()),
        message.text,
        to=[_in_ascii(one) for one in settings["to"]],
        headers={"Message-ID": f"<{key}@iot-monitor>", "Auto-Submitted": "auto-generated"},
    )
    connection = get_connection(timeout=SECONDS)
    try:
        connection.open()
        try:
            # Django's own way says nothing of a recipient that was refused where another was not.
            if isinstance(connection, EmailBackend):
                return _by_smtp(connection, mail)
            mail.connection = connection
            mail.send()
            return ""
        finally:
            connection.close()
    except smtplib.SMTPRecipientsRefused as error:
        for_good = all(code >= 500 for code, _said in error.recipients.values())
        raise NotSentError(_refusals(error.recipients), is_channels_fault=for_good) from None
    except smtplib.SMTPDataError as error:
        why = _said_by_server(error.smtp_code, error.smtp_error)
        raise NotSentError(why, for_good=error.smtp_code >= 500) from None
    except smtplib.SMTPResponseException as error:
        # Of the account or the sender: EMAIL_URL is not the channel's, and may be mended meanwhile.
        raise NotSentError(_said_by_server(error.smtp_code, error.smtp_error)) from None
    except (OSError, smtplib.SMTPException) as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise NotSentError(gettext("no connection to the mail server: %s") % said) from None


def _in_ascii(address: str) -> str:
    """As SMTP takes it: one domain of other letters would keep the mail from all recipients."""
    mailbox, _, domain = address.rpartition("@")
    return f"{mailbox}@{punycode(domain)}"


def _by_smtp(connection: EmailBackend, mail: EmailMessage) -> str:
    assert connection.connection is not None
    body = mail.message().as_bytes(linesep="\r\n")  # type: ignore[call-arg]  # the stubs take it for email's
    refused = connection.connection.sendmail(mail.from_email, mail.recipients(), body)
    return _refusals(refused) if refused else ""


def _refusals(refused: dict[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{who}: {_said_by_server(*why)}" for who, why in refused.items())


def _said_by_server(code: int, said: bytes | str) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return gettext("the mail server answers %(code)s") % {"code": f"{code} {' '.join(text.split())}"[:200]}
