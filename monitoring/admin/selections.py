"""A selection of rejected messages, in words."""

from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from monitoring.admin import ages
from monitoring.admin.column import grouped
from monitoring.admin.payload import as_text
from monitoring.details import translated
from monitoring.rejected.selection import Selection


def in_words(which: Selection) -> list[str]:
    said: list[str] = []
    if which.ids is not None:
        count = len(which.ids)
        said.append(
            ngettext("%(count)s message that was marked", "%(count)s messages that were marked", count)
            % {"count": grouped(count)}
        )
    if which.code is not None:
        said.append(_("code %s") % which.code)
    if which.sensor is not None:
        said.append(_("sensor %d") % which.sensor)
    if which.only_sensor is not None:
        said.append(_("sensor %d and no other") % which.only_sensor)
    if which.without_sensor:
        said.append(_("no sensor named"))
    if which.topic is not None:
        said.append(_("topic %s") % (as_text(which.topic.encode()) or '""'))
    if which.detail is not None:
        said.append(_("detail %s") % as_text(translated(which.detail).encode()))
    if which.start is not None:
        said.append(_("from %(moment)s (%(zone)s)") % _of(which.start))
    if which.until is not None:
        said.append(_("until %(moment)s (%(zone)s)") % _of(which.until))
    return said or [_("everything that waits")]


def _of(moment: datetime) -> dict[str, str]:
    return {"moment": ages.exact(moment), "zone": ages.zone()}
