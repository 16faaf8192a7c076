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
TEXT_CHARACTERS = 4_000


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
    text = f"{message.subject}\n\n{message.text}"
    body = {
        "chat_id": settings["chat"],
        "text": text if len(text) <= TEXT_CHARACTERS else text[: TEXT_CHARACTERS - 1] + "…",
        "link_preview_options": {"is_disabled": True},
    }
    headers = {"Content-Type": "application/json"}
    http.post(f"{SERVER}/bot{settings['token']}/sendMessage", json.dumps(body).encode(), headers)
