"""The API says UTC, whichever zone people are shown."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from rest_framework import serializers
from rest_framework.test import APIClient

from monitoring.api import urls  # noqa: F401 -- brings all serializers
from monitoring.models import Sensor
from tests.api.conftest import API

pytestmark = pytest.mark.django_db


def ours(base: type) -> Iterator[type[serializers.Serializer[Any]]]:
    for one in base.__subclasses__():
        if one.__module__.startswith("monitoring.api"):
            yield one
        yield from ours(one)


def test_it_works(settings: Any, client: APIClient, measure: Any, sensors: dict[int, Sensor]) -> None:
    settings.TIME_ZONE = "Asia/Kathmandu"
    measure(3, 0)
    assert str(timezone.get_current_timezone()) == "Asia/Kathmandu"
    assert client.get(API + "sensors/3/last/").json()["created_at"].endswith("12:00:00Z")
    assert client.get(API + "sensors/3/").json()["added_at"].endswith("Z")


def test_every_time_in_an_answer_is_utc(settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Kathmandu"
    # Without those that are of no model until another one is made of them.
    serializers_of_ours = {
        one
        for one in ours(serializers.BaseSerializer)
        if not issubclass(one, serializers.ModelSerializer) or hasattr(one, "Meta")
    }
    fields = [
        (one.__name__, name, field)
        for one in serializers_of_ours
        for name, field in one().fields.items()
        if isinstance(field, serializers.DateTimeField)
    ]
    assert len(fields) > 10
    for serializer, name, field in fields:
        moment = field.to_representation(timezone.now())
        assert moment.endswith("Z"), (serializer, name)
