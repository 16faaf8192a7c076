"""What fired before, as an address asks for it: `?rule=3&sensor=hall&from=2026-11-01&to=2026-11-30`."""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import F, Q, QuerySet
from django.db.models.fields.tuple_lookups import TupleLessThan
from django.db.models.lookups import Lookup
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from monitoring.alerts.mutes import moment
from monitoring.api.pages import Cursor
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Incident

PAGE = 30
LONGEST = 200
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


class Asked(NamedTuple):
    """`sensor`: its number, or a part of names or places. `first`, `last`: days of the viewer's zone."""

    rule: int | None = None
    sensor: str = ""
    first: date | None = None
    last: date | None = None
    before: Cursor | None = None


class History:
    """A page of incidents that are over, the newest first. `errors`: what of the address was not
    understood."""

    def __init__(self, asked: Asked, errors: list[str]) -> None:
        self.asked = asked
        self.errors = errors

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> "History":
        errors: list[str] = []
        text = {
            name: str(said.get(name, "")).replace("\x00", "").strip()[:LONGEST]
            for name in ("rule", "sensor", "from", "to", "before")
        }
        rule = None
        if text["rule"]:
            if text["rule"].isdecimal() and int(text["rule"]) <= MAX_SENSOR_ID:
                rule = int(text["rule"])
            else:
                errors.append(_("“%s” is no rule’s number.") % text["rule"])
        first, last = (_day(text[name], errors) for name in ("from", "to"))
        if first and last and last < first:
            errors.append(_("“From” must lie before “to”."))
            last = None
        before = None
        if text["before"]:
            try:
                before = Cursor.decode(text["before"])
            except ValueError:
                errors.append(_("The address names no page: the newest are shown."))
        return cls(Asked(rule, text["sensor"], first, last, before), errors)

    @property
    def is_filtered(self) -> bool:
        return self.asked._replace(before=None) != Asked()

    @property
    def incidents(self) -> list[Incident]:
        return self._rows[:PAGE]

    @property
    def older(self) -> str:
        """The address of the next page; "" on the last one."""
        if len(self._rows) <= PAGE:
            return ""
        end = self._rows[PAGE - 1]
        return self.url(before=Cursor(end.since, end.pk))

    @property
    def newest(self) -> str:
        return self.url(before=None)

    def url(self, **changes: Any) -> str:
        asked = self.asked._replace(**changes)
        query = {
            "rule": asked.rule,
            "sensor": asked.sensor,
            "from": asked.first,
            "to": asked.last,
            "before": asked.before and asked.before.encode(),
        }
        path = reverse("dashboard:alerts")
        said = urlencode({name: one for name, one in query.items() if one})
        return f"{path}?{said}" if said else path

    @cached_property
    def _rows(self) -> list[Incident]:
        rows = self._asked_for().select_related("sensor", "rule", "acknowledged_by")
        return list(rows.order_by("-since", "-pk")[: PAGE + 1])

    def _asked_for(self) -> "QuerySet[Incident]":
        asked = self.asked
        rows = Incident.objects.filter(state=Incident.State.RESOLVED)
        # A sensor's own are shown though another names them.
        rows = rows if asked.sensor else rows.told()
        if asked.rule is not None:
            rows = rows.filter(rule=asked.rule)
        if asked.sensor:
            text = asked.sensor
            is_number = text.isdecimal() and int(text) <= MAX_SENSOR_ID
            named = Q(sensor__name__icontains=text) | Q(sensor__location__icontains=text)
            rows = rows.filter(sensor=int(text)) if is_number else rows.filter(named)
        if asked.first:
            rows = rows.filter(since__gte=_midnight(asked.first))
        if asked.last:
            rows = rows.filter(since__lt=_midnight(asked.last + timedelta(days=1)))
        if asked.before:
            before: Lookup[Any] = TupleLessThan(
                (F("since"), F("id")), (asked.before.created_at, asked.before.id)
            )
            rows = rows.filter(before)
        return rows


def _day(text: str, errors: list[str]) -> date | None:
    if not text:
        return None
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        day = date.fromisoformat(text)
        if not 1971 <= day.year <= 2200:
            raise ValueError
    except ValueError:
        errors.append(_("“%s” is no day such as 2026-01-28.") % text)
        return None
    return day


def _midnight(day: date) -> datetime:
    """When the day begins in the viewer's zone."""
    zone: Any = timezone.get_current_timezone()
    return moment(datetime.combine(day, time.min), zone, later=False)
