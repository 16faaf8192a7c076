"""What several commands ask for in the same words."""

from argparse import ArgumentTypeError
from collections.abc import Sequence
from datetime import datetime

from django.core.management.base import CommandError
from django.utils.translation import gettext

from monitoring.decoders.timestamp import moment
from monitoring.details import translated
from monitoring.models import Sensor


def a_moment(text: str) -> datetime:
    try:
        return moment(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text} {translated(str(error))}") from None


def sensor_ids(asked: Sequence[int] | None) -> list[int]:
    """Those asked for, by id; all where None was. Raises CommandError for one that there is not."""
    there = Sensor.objects.order_by("pk").values_list("pk", flat=True)
    if asked is None:
        return list(there)
    found = list(there.filter(pk__in=asked))
    if missing := sorted(set(asked) - set(found)):
        raise CommandError(gettext("there is no sensor %s") % ", ".join(map(str, missing)))
    return found
