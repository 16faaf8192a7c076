"""POSTs JSON to an address, signed as Standard Webhooks has it (standardwebhooks.com)."""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from monitoring.alerts.address import split_url
from monitoring.alerts.channels import http
from monitoring.alerts.channels.field import Field
from monitoring.alerts.message import Message

PREFIX = "whsec_"
SECRET_BYTES = (24, 64)


def _url(text: str) -> str:
    split_url(text)
    return text


def _secret(text: str) -> str:
    key = _key(text)
    if key is None or not SECRET_BYTES[0] <= len(key) <= SECRET_BYTES[1]:
        raise ValueError(gettext("A secret is whsec_ and the base64 of 24 to 64 random bytes."))
    return text


def _key(secret: str) -> bytes | None:
    if not secret.startswith(PREFIX):
        return None
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


FIELDS = (
    # Of Slack, Discord and others the address is itself the secret.
    Field("url", _("address"), "url", required=True, check=_url, longest=2000, is_key=True),
    Field(
        "secret",
        _("secret"),
        "secret",
        check=_secret,
        help=_("Signs each message: whsec_ and base64. Empty: one is made, and nobody is shown it."),
    ),
)


def complete(settings: dict[str, Any]) -> dict[str, Any]:
    """With a secret of its own where none was given."""
    return settings | {"secret": settings["secret"] or new_secret()}


def send(settings: dict[str, Any], message: Message, key: str) -> None:
    """Raises NotSentError. The id, which is the idempotency key, and the body are the same at each retry; the
    timestamp is this attempt's."""
    body = json.dumps(message.payload, ensure_ascii=False, separators=(",", ":")).encode()
    at = str(http.unix_now())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": key,
        "webhook-timestamp": at,
        "webhook-signature": signature(settings["secret"], key, at, body),
    }
    http.post(settings["url"], body, headers)


def signature(secret: str, key: str, at: str, body: bytes) -> str:
    signed = hmac.new(_key(secret) or b"", f"{key}.{at}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()
