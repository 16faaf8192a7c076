"""The list of sensors as an address asks for it: filters, order and page; what is shown of each sensor."""

import math
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import F, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from monitoring.models import Measurement, Sensor
from monitoring.models.measurement_queryset import Last
from monitoring.rollups import sparklines
from monitoring.rollups.drawing import Sparkline, draw
from monitoring.templatetags.dashboard import figure

PAGE = 50
STATES = ("silent", "late", "never", "ok", "off")
ORDERS = ("state", "name", "place")
LONGEST = 200


class Asked(NamedTuple):
    """`errors`: what of the address was not understood, and is left out of what is asked."""

    q: str = ""
    status: str = ""
    kind: str = ""
    location: str = ""
    sort: str = ORDERS[0]
    page: int = 1
    errors: tuple[str, ...] = ()

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> "Asked":
        text = {
            name: str(said.get(name, "")).strip().replace("\x00", "")[:LONGEST]
            for name in ("q", "status", "kind", "location", "sort", "page")
        }
        errors = []
        for name, choices in (("status", STATES), ("sort", ORDERS)):
            if text[name] and text[name] not in choices:
                errors.append(
                    _("%(name)s is one of %(choices)s.") % {"name": name, "choices": ", ".join(choices)}
                )
                text[name] = ""
        page = text.pop("page")
        number = int(page) if page.isdecimal() and len(page) < 9 else 1
        if page and not (page.isdecimal() and number >= 1):
            errors.append(_("page is a number from 1."))
        text["sort"] = text["sort"] or ORDERS[0]
        return cls(**text, page=max(1, number), errors=tuple(errors))

    def url(self, **changes: Any) -> str:
        """The address of this list with something else; another filter begins at page 1."""
        asked = self._replace(**{"page": 1, **changes})
        defaults = Asked()
        query = {
            name: value
            for name, value in asked._asdict().items()
            if name != "errors" and value != getattr(defaults, name)
        }
        path = reverse("dashboard:overview")
        return f"{path}?{urlencode(query)}" if query else path

    @property
    def is_filtered(self) -> bool:
        return bool(self.q or self.status or self.kind or self.location)

    def sensors(self) -> "QuerySet[Sensor]":
        found = Sensor.objects.present().found_by(self.q, self.kind or None)
        if self.location:
            found = found.filter(location=self.location)
        return found.filter(standing__status=self.status) if self.status else found

    def ordered(self) -> "QuerySet[Sensor]":
        by_state = [F("standing__rank").asc(), F("name_key").asc(), F("pk").asc()]
        orders: dict[str, list[Any]] = {
            "state": by_state,
            "name": [F("name_key").asc(), F("pk").asc()],
            "place": [F("location_key").asc(), F("location").asc(), *by_state],
        }
        return self.sensors().select_related("standing").order_by(*orders[self.sort])


class Row(NamedTuple):
    id: int
    name: str
    kind: str
    unit: str
    location: str
    status: str
    url: str
    last: Last | None
    spark: Sparkline | None
    spark_said: str


class Group(NamedTuple):
    """`title`: None where the rows are not in groups."""

    title: str | None
    rows: list[Row]

    @property
    def said(self) -> str:
        return ngettext("%d sensor here", "%d sensors here", len(self.rows)) % len(self.rows)


class Page(NamedTuple):
    number: int
    of: int
    sensors: int
    groups: list[Group]

    @property
    def said(self) -> str:
        first = (self.number - 1) * PAGE
        last = first + sum(len(group.rows) for group in self.groups)
        return _("%(first)s to %(last)s of %(all)s") % {
            "first": figure(first + 1),
            "last": figure(last),
            "all": figure(self.sensors),
        }


def page(asked: Asked, sensors: int) -> Page:
    """`sensors`: how many the address asks for. A page past the last one is the last."""
    pages = max(1, math.ceil(sensors / PAGE))
    number = min(asked.page, pages)
    found = list(asked.ordered()[(number - 1) * PAGE : number * PAGE])
    rows = list(_rows(found))
    if asked.sort != "place":
        return Page(number, pages, sensors, [Group(None, rows)])
    groups = groupby(rows, key=lambda row: row.location)
    return Page(number, pages, sensors, [Group(place, list(of_place)) for place, of_place in groups])


def _rows(sensors: list[Sensor]) -> Iterator[Row]:
    ids = [sensor.pk for sensor in sensors]
    last = Measurement.objects.last_of(ids)
    hours = sparklines.of(ids, timezone.now())
    for sensor in sensors:
        day = hours.get(sensor.pk, [])
        yield Row(
            id=sensor.pk,
            name=sensor.name,
            kind=sensor.kind,
            unit=sensor.unit,
            location=sensor.location,
            status=sensor.standing.status,
            url=reverse("dashboard:sensor", args=[sensor.pk]),
            last=last.get(sensor.pk),
            spark=draw(day),
            spark_said=_("24 hours: between %(low)s and %(high)s")
            % {"low": figure(min(hour.min for hour in day)), "high": figure(max(hour.max for hour in day))}
            if day
            else "",
        )


def pages_around(number: int, of: int) -> list[int | None]:
    """Numbers to go to, None for what is left out: 1 … 4 5 6 … 20."""
    shown = sorted({1, of, *range(max(1, number - 1), min(of, number + 1) + 1)})
    found: list[int | None] = []
    for one in shown:
        if found and found[-1] is not None and one > found[-1] + 1:
            found.append(None)
        found.append(one)
    return found
