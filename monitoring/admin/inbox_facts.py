"""Where a rejected message came from, and what was decided of it, line by line."""

from datetime import datetime
from typing import NamedTuple

from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from monitoring.admin import ages
from monitoring.admin.payload import as_text
from monitoring.details import translated
from monitoring.models import RejectedMessage

# Of an array that names many.
SENSORS_SHOWN = 10


class Fact(NamedTuple):
    name: str
    text: str
    url: str = ""


def facts(row: RejectedMessage) -> list[Fact]:
    return [
        Fact(_("Topic"), as_text(row.topic.encode()) or _("(no topic)")),
        Fact(_("Received at"), f"{_moment(row.received_at)}, {ages.since(row.received_at)}", _trace(row)),
        Fact(_("Retained"), _("yes") if row.retained else _("no")),
        Fact(_("Size"), _size(row)),
        Fact(_("Ledger"), str(row.batch), reverse("admin:monitoring_ingestbatch_change", args=[row.batch])),
        Fact(_("Place"), _place(row)),
        *_decision(row),
    ]


def _trace(row: RejectedMessage) -> str:
    """The page that tells its way."""
    asked = urlencode({"at": row.received_at.isoformat(), "topic": row.topic})
    return f"{reverse('admin:monitoring_ingestbatch_trace')}?{asked}"


def _size(row: RejectedMessage) -> str:
    if row.is_cut:
        return _("%(length)s, of which the first %(kept)s were kept") % {
            "length": filesizeformat(row.length),
            "kept": filesizeformat(len(row.payload)),
        }
    return ngettext("%(length)d byte", "%(length)d bytes", row.length) % {"length": row.length}


def _place(row: RejectedMessage) -> str:
    if row.indexes:
        return _("message %(position)d of the batch, and of its elements: %(indexes)s; all from 0") % {
            "position": row.position,
            "indexes": row.indexes.replace("\n", "; "),
        }
    if row.index is None:
        return _("message %d of the batch, from 0") % row.position
    return _("message %(position)d of the batch, its element %(index)d, both from 0") % {
        "position": row.position,
        "index": row.index,
    }


def _decision(row: RejectedMessage) -> list[Fact]:
    """Of one that was replayed, were it in vain, or dismissed."""
    if row.replayed_at is None:
        return []
    who = row.replayed_by.get_username() if row.replayed_by else _("nobody who is still known")
    return [
        Fact(_("Decided by"), who),
        Fact(_("Decided at"), _moment(row.replayed_at)),
        Fact(_("Outcome"), as_text(translated(row.outcome).encode()) or _("no reason was given")),
    ]


def _moment(moment: datetime) -> str:
    return f"{ages.exact(moment)} ({ages.zone()})"
