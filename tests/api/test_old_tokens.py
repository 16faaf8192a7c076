"""Tokens of an installation from before there were scopes go on working."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from knox.models import get_digest_token
from rest_framework.test import APIClient

from batches.store import BatchStore
from monitoring.models import Sensor, Token
from tests.api.conftest import API

migration: Any = import_module("monitoring.migrations.0010_token")


@pytest.fixture
def old(db: None) -> str:
    """A token as knox kept it, of somebody who was never given a permission."""
    user = User.objects.create_user("board")
    digest, text = get_digest_token()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE knox_authtoken ADD FOREIGN KEY (user_id) REFERENCES auth_user")
        cursor.execute(
            "INSERT INTO knox_authtoken (digest, token_key, created, user_id) VALUES (%s, %s, now(), %s)",
            [digest, text[:15], user.pk],
        )
    migration.take_over(apps, connection.schema_editor())
    return text


def test_it_works(old: str, sensors: dict[int, Sensor], store: BatchStore, settings: Any) -> None:
    settings.API_PUBLIC_READ = False
    client = APIClient(HTTP_AUTHORIZATION=f"Token {old}")
    assert client.get(API + "sensors/3/measurements/").status_code == 200
    assert client.get(API + "pipeline/").status_code == 200
    reading = {"sensor_id": 3, "value": 2.5}
    assert client.post(API + "measurements/", reading, format="json").status_code == 202
    assert client.post(API + "sensors/", {"name": "x"}, format="json").status_code == 403
    assert Token.objects.get().scope == "manage"


def test_its_user_can_be_deleted(old: str) -> None:
    User.objects.get().delete()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert not Token.objects.exists()
