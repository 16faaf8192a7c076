"""Publishes to a topic of ntfy, https://ntfy.sh or a server of one's own."""

import json
import re
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from monitoring.alerts.address import split_url
from monitoring.alerts.channels import http
from monitoring.alerts.channels.field import Field
from monitoring.alerts.message import Message

# Of five, as ntfy has them.
PRIORITY = {"info": 3, "warning": 4, "critical": 5}
# What a phone is shown; past 4,096 bytes ntfy makes it an attachment.
TEXT_BYTES = 3_500


def _server(text: str) -> str:
    split_url(text)
    return text.rstrip("/")


def _topic(text: str) -> str:
    if not re.fullmatch(r"[-_A-Za-z0-9]{1,64}", text):
        raise ValueError(gettext("A topic of ntfy is 1 to 64 letters, digits, - or _."))
    return text


def _token(text: str) -> str:
    if not re.fullmatch(r"[!-~]{1,200}", text):
        raise ValueError(gettext("A token has no blank, and no letter beyond ASCII."))
    return text


FIELDS = (
    Field("server", _("server"), "url", default="https://ntfy.sh", check=_server, is_key=True),
    Field(
        "topic",
        _("topic"),
        required=True,
        check=_topic,
        help=_("On ntfy.sh whoever knows its name can read it: choose one that nobody guesses."),
        is_key=True,
    ),
    Field("token", _("access token"), "secret", check=_token, help=_("Where the topic is protected.")),
)


def send(settings: dict[str, Any], message: Message, key: str) -> None:
    """Raises NotSentError."""
    body: dict[str, Any] = {
        "topic": settings["topic"],
        "title": message.subject,
        "message": shortened(message.text, TEXT_BYTES),
        "priority": PRIORITY.get(message.severity, 3) if message.is_firing else 2,
        "tags": ["rotating_light" if message.is_firing else "white_check_mark"],
    }
    if message.link:
        body["click"] = message.link
    headers = {"Content-Type": "application/json", "X-Message-Id": key}
    if settings["token"]:
        headers["Authorization"] = f"Bearer {settings['token']}"
    http.post(settings["server"] + "/", json.dumps(body, ensure_ascii=False).encode(), headers)


def shortened(text: str, most_bytes: int) -> str:
    """Its begin, in so many bytes of UTF-8 at most, with an ellipsis where something is left out."""
    if len(text.encode()) <= most_bytes:
        return text
    return text.encode()[: most_bytes - 3].decode(errors="ignore") + "…"
