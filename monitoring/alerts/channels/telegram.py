"""Sends a message as a bot of Telegram."""

import json
import re
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from monitoring.alerts.channels import http
from monitoring.alerts.channels.field import Field
from monitoring.alerts.message import Message

SERVER = "https://api.telegram.org"
# Telegram takes 4,096 units of UTF-16, of which an emoji is two.
TEXT_BYTES = 2 * 4_000


def _token(text: str) -> str:
    if not re.fullmatch(r"\d{1,20}:[-\w]{20,100}", text, re.ASCII):
        raise ValueError(gettext("A bot's token looks like 123456:ABC-DEF…; @BotFather gives it."))
    return text


def _chat(text: str) -> str:
    if not re.fullmatch(r"-?\d{1,20}|@\w{5,32}", text, re.ASCII):
        raise ValueError(gettext("A chat is a number, or @ and the name of a public channel."))
    return text


FIELDS = (
    Field("token", _("the bot's token"), "secret", required=True, check=_token),
    Field("chat", _("chat"), required=True, check=_chat, help=_("Its number, or @ and a channel's name.")),
)


def send(settings: dict[str, Any], message: Message, key: str) -> None:
    """Raises NotSentError."""
    body = {
        "chat_id": settings["chat"],
        "text": _shortened(f"{message.subject}\n\n{message.text}"),
        "link_preview_options": {"is_disabled": True},
    }
    headers = {"Content-Type": "application/json"}
    http.post(f"{SERVER}/bot{settings['token']}/sendMessage", json.dumps(body).encode(), headers)


def _shortened(text: str) -> str:
    units = text.encode("utf-16-le")
    if len(units) <= TEXT_BYTES:
        return text
    # Half a letter at the end is left out.
    return units[: TEXT_BYTES - 2].decode("utf-16-le", "ignore") + "…"
