"""Sends through apprise (pip install apprise), which knows a hundred services by their addresses.

It connects by itself: what `address` holds the other channels to does not hold for it.
"""

import importlib
import importlib.util
import logging
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from monitoring.alerts.channels.field import Field
from monitoring.alerts.channels.outcome import NotSentError
from monitoring.alerts.message import Message


def is_there() -> bool:
    return importlib.util.find_spec("apprise") is not None


def _apprise() -> Any:
    # It logs addresses that it does not understand, and they hold tokens.
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    return importlib.import_module("apprise").Apprise()


def _url(text: str) -> str:
    if not _apprise().add(text):
        raise ValueError(gettext("apprise does not know this address."))
    return text


FIELDS = (
    Field(
        "url",
        _("address"),
        "secret",
        required=True,
        check=_url,
        longest=2000,
        help=_("As apprise has it for the service: slack://…, pover://…"),
    ),
)


def send(settings: dict[str, Any], message: Message, key: str) -> None:
    """Raises NotSentError; apprise says no more than that it failed."""
    if not is_there():
        raise NotSentError(gettext("apprise is not installed"))
    apprise = _apprise()
    if not apprise.add(settings["url"]):
        raise NotSentError(gettext("apprise does not know this address."), is_channels_fault=True)
    kind = "failure" if message.is_firing else "success"
    if not apprise.notify(body=message.text, title=message.subject, notify_type=kind):
        raise NotSentError(gettext("apprise could not send it"))
