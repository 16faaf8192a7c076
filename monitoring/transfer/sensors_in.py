"""Sensors from a CSV: first what would come of every line, then all of it or nothing."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext, gettext_noop

from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Sensor
from monitoring.numbers import grouped
from monitoring.transfer.lines_in import Fault, FileError

COLUMNS = ("id", "name", "kind", "unit", "location", "is_active", "retention_days", "expected_interval_s")
MAX_BYTES = 2**20
MAX_LINES = 10_000
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")
# What an empty field says; elsewhere it is the empty text.
_EMPTY = {"is_active": True, "retention_days": None, "expected_interval_s": None}
_NUMBERS = {
    "retention_days": gettext_noop("must be a whole number of days"),
    "expected_interval_s": gettext_noop("must be a whole number of seconds"),
}


class Change(NamedTuple):
    """`fields`: name of a column → (value now, value to come)."""

    sensor: Sensor
    fields: dict[str, tuple[object, object]]


class Plan(NamedTuple):
    """What would come of a file. With `refused` it is not carried out."""

    added: list[Sensor]
    changed: list[Change]
    unchanged: list[Sensor]
    refused: list[Fault]

    @property
    def does_something(self) -> bool:
        return not self.refused and bool(self.added or self.changed)


def decoded(content: bytes) -> str:
    """The text of a file. Raises FileError."""
    if len(content) > MAX_BYTES:
        raise FileError(gettext("it is larger than %d MiB; send it in parts") % (MAX_BYTES >> 20))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = gettext("it is not UTF-8 (byte %d); save it as CSV UTF-8") % error.start
        raise FileError(text) from None


def plan(text: str) -> Plan:
    """Looks at every line, and changes nothing. Raises FileError where it is no list of sensors.

    A line with the id of a sensor changes those of its columns that the file has; any other line adds one,
    under its id, or the next free one where that is empty.
    """
    planned = Plan([], [], [], [])
    lines = list(_lines(text))
    there = Sensor.objects.in_bulk([named for _, fields in lines if (named := _id(fields)) is not None])
    first: dict[int, int] = {}
    for line, fields in lines:
        try:
            number = _checked_id(fields)
            if number is not None and first.setdefault(number, line) != line:
                raise ValidationError({"id": gettext("line %d has it too") % first[number]})
            sensor = there.get(number) if number is not None else None
            change = _change(sensor or Sensor(pk=number), fields, is_new=sensor is None)
        except ValidationError as error:
            name, said = next(iter(error.message_dict.items()))
            planned.refused.append(Fault(line, name, said[0]))
            continue
        if sensor is None:
            planned.added.append(change.sensor)
        elif change.fields:
            planned.changed.append(change)
        else:
            planned.unchanged.append(sensor)
    return planned


def carry_out(text: str) -> Plan:
    """Plans it on what is there now, and does all of it, or nothing where a line is refused.

    Raises FileError: also where somebody else makes one of these sensors at this moment.
    """
    try:
        with transaction.atomic():
            Sensor.objects.hold_ids()
            planned = plan(text)
            if planned.refused:
                return planned
            by_id = [sensor for sensor in planned.added if sensor.pk is not None]
            others = [sensor for sensor in planned.added if sensor.pk is None]
            Sensor.objects.bulk_create(by_id)
            Sensor.objects.register([])  # which moves the sequence past them
            Sensor.objects.bulk_create(others)
            Sensor.objects.present().change((change.sensor, change.fields) for change in planned.changed)
            return planned
    except IntegrityError:
        raise FileError(gettext("somebody made one of these sensors meanwhile; try it again")) from None


def _lines(text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    first = text.partition("\n")[0]
    # A spreadsheet writes semicolons where a comma is part of a number.
    delimiter = ";" if ";" in first and "," not in first else ","
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header: list[str] = next(rows, [])
        names = [name.strip().lower() for name in header]
        unknown = sorted(set(names) - set(COLUMNS))
        if ("name" not in names and "id" not in names) or unknown or len(set(names)) < len(names):
            problem = gettext(
                "its first line must name columns among %(columns)s, with id or name among them"
            )
            said = {"columns": ", ".join(COLUMNS)}
            if unknown:
                problem = gettext(
                    "its first line must name columns among %(columns)s, with id or name among them;"
                    " there is no %(unknown)r"
                )
                said["unknown"] = unknown[0][:40]
            raise FileError(problem % said)
        for count, row in enumerate(rows, 1):
            if count > MAX_LINES:
                most = grouped(MAX_LINES)
                raise FileError(gettext("it has more than %s lines; send it in parts") % most)
            if not any(field.strip() for field in row):
                continue
            if len(row) != len(names):
                counts = {"line": rows.line_num, "fields": len(row), "wanted": len(names)}
                problem = gettext("line %(line)d has %(fields)d fields, the first line %(wanted)d")
                raise FileError(problem % counts)
            yield rows.line_num, dict(zip(names, map(str.strip, row), strict=True))
    except csv.Error as error:
        of_line = {"line": rows.line_num, "error": error}
        raise FileError(gettext("line %(line)d: %(error)s") % of_line) from None


def _id(fields: Mapping[str, str]) -> int | None:
    said = fields.get("id", "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 20 else None


def _checked_id(fields: Mapping[str, str]) -> int | None:
    number = _id(fields)
    if fields.get("id") and (number is None or not 1 <= number <= MAX_SENSOR_ID):
        text = gettext("must be a whole number from 1 to %d") % MAX_SENSOR_ID
        raise ValidationError({"id": text})
    return number


def _change(sensor: Sensor, fields: Mapping[str, str], *, is_new: bool) -> Change:
    if sensor.removal_requested_at is not None:
        raise ValidationError({"id": gettext("this sensor is being removed")})
    if is_new and not fields.get("name"):
        raise ValidationError({"name": gettext("a new sensor must have one")})
    changes = {}
    for name, text in fields.items():
        if name == "id":
            continue
        before, after = getattr(sensor, name), _value(name, text)
        if before != after:
            changes[name] = (before, after)
            setattr(sensor, name, after)
    sensor.clean_fields(exclude=["id", "added_at"])
    return Change(sensor, changes)


def _value(name: str, text: str) -> object:
    if not text:
        return _EMPTY.get(name, "")
    if "\0" in text:
        raise ValidationError({name: gettext("holds a null character")})
    if name == "is_active":
        if text.lower() not in _YES + _NO:
            raise ValidationError({name: gettext("must be one of %s") % ", ".join(_YES + _NO)})
        return text.lower() in _YES
    if name in _NUMBERS:
        if not (text.isascii() and text.isdecimal() and len(text) < 9):
            raise ValidationError({name: gettext(_NUMBERS[name])})
        return int(text)
    return text
