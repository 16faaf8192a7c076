"""Ways to tell somebody: a module each, with what it wants to know (FIELDS) and how it sends (`send`)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings as site
from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from monitoring.alerts.channels import apprise, email, mqtt, ntfy, telegram, webhook
from monitoring.alerts.channels.field import Field, check_all
from monitoring.alerts.channels.outcome import NotSentError
from monitoring.alerts.message import Message
from monitoring.models import AlertChannel

__all__ = ["Field", "NotSentError", "check", "fields", "offered", "said", "secrets", "send", "shown"]

Kind = AlertChannel.Kind
_FIELDS = {
    Kind.EMAIL: email.FIELDS,
    Kind.WEBHOOK: webhook.FIELDS,
    Kind.NTFY: ntfy.FIELDS,
    Kind.TELEGRAM: telegram.FIELDS,
    Kind.MQTT: mqtt.FIELDS,
    Kind.APPRISE: apprise.FIELDS,
}


def offered() -> list[AlertChannel.Kind]:
    """The kinds that this installation can send by."""
    has = {
        Kind.EMAIL: bool(site.EMAIL_HOST),
        Kind.MQTT: bool(site.MQTT_URL),
        Kind.APPRISE: apprise.is_there(),
    }
    return [kind for kind in Kind if has.get(kind, True)]


def why_not(kind: str) -> str:
    """What is missing before a channel of the kind can be made; "" where nothing is."""
    if kind not in Kind.values:
        return gettext("There is no such kind of channel.")
    if kind in offered():
        return ""
    return {
        Kind.EMAIL: gettext("No mail server is set: EMAIL_URL."),
        Kind.MQTT: gettext("No broker is set: MQTT_URL."),
        Kind.APPRISE: gettext("apprise is not installed."),
    }[Kind(kind)]


def fields(kind: str) -> tuple[Field, ...]:
    return _FIELDS[Kind(kind)]


def secrets(kind: str) -> frozenset[str]:
    """Names of the settings that are never shown."""
    return frozenset(field.name for field in fields(kind) if field.kind == "secret")


def check(kind: str, given: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The settings as they are kept. Raises ValidationError by field (of the kind itself: "kind").

    `before`: what is kept of the channel already; a secret that is not given, or empty, stays as it was,
    but where it would go to another address: whoever may not read it could have it sent to himself.
    """
    if why := why_not(kind):
        raise ValidationError({"kind": why})
    if not isinstance(given, Mapping):
        raise ValidationError({"settings": gettext("They are an object.")})
    whole = dict(given)
    addresses = [field for field in fields(kind) if field.kind == "url"]
    is_there = before and all(
        _same(str(given.get(field.name) or field.default), str(before.get(field.name))) for field in addresses
    )
    for name in secrets(kind):
        if before and is_there and not whole.get(name) and before.get(name):
            whole[name] = before[name]
    kept = check_all(fields(kind), whole)
    return webhook.complete(kept) if kind == Kind.WEBHOOK else kept


def _same(address: str, other: str) -> bool:
    return address.strip().rstrip("/") == other.strip().rstrip("/")


def shown(kind: str, settings: Mapping[str, Any], may_change: bool) -> dict[str, Any]:
    """For people and the API: without the secrets; instead of one that is set there is True.

    `may_change`: whoever looks may change the channel. Others see of an address that is a key by itself the
    host alone, of another key that it is set.
    """
    return {field.name: _shown(field, settings.get(field.name), may_change) for field in fields(kind)}


def said(kind: str, settings: Mapping[str, Any], may_change: bool) -> str:
    """What of the settings tells it from others, in one line."""
    values = shown(kind, settings, may_change)
    return ", ".join(filter(None, (_said(field, values[field.name]) for field in fields(kind))))


def _said(field: Field, value: Any) -> str:
    if field.is_key and value is True:
        return gettext("%s: set") % field.label
    if not value or isinstance(value, bool):
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _shown(field: Field, value: Any, may_change: bool) -> Any:
    if field.kind == "secret":
        return bool(value)
    if not field.is_key or may_change:
        return value
    return _host_of(str(value or "")) if field.kind == "url" else bool(value)


def _host_of(url: str) -> str:
    """https://host/…, of an address that `address.split_url` took once."""
    parts = urlsplit(url)
    rest = "/…" if parts.path.strip("/") or parts.query or parts.fragment else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{rest}" if url else ""


def send(kind: str, settings: dict[str, Any], message: Message, key: str) -> str:
    """One attempt to send. Returns what is to be said of it although it was sent, "" as a rule.

    Raises NotSentError. `key`: the idempotency key, the same for each retry. Touches no database.
    """
    match Kind(kind):
        case Kind.EMAIL:
            return email.send(settings, message, key)
        case Kind.WEBHOOK:
            webhook.send(settings, message, key)
        case Kind.NTFY:
            ntfy.send(settings, message, key)
        case Kind.TELEGRAM:
            telegram.send(settings, message, key)
        case Kind.MQTT:
            mqtt.send(settings, message, key)
        case Kind.APPRISE:
            apprise.send(settings, message, key)
    return ""
