"""A rule that somebody changes or deletes, while others evaluate it or change it too."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from rest_framework.test import APIClient

from monitoring.alerts.rules import delete, save
from monitoring.models import AlertRule, AlertState, Incident
from tests.alerts.conftest import MakeIncident
from tests.api.conftest import API
from tests.locks import another, until_somebody_waits_for_us


def save_it(rule: AlertRule) -> None:
    rule.high = 30.0
    save(rule, [], None)


def patch_it(rule: AlertRule) -> None:
    client = APIClient()
    client.force_authenticate(User.objects.create_superuser("root"))
    answer = client.patch(f"{API}alerts/rules/{rule.pk}/", {"high": 30.0}, format="json")
    assert answer.status_code == 200, answer.content


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", [save_it, patch_it, delete])
def test_whoever_evaluates_it_is_waited_for(
    change: Callable[[AlertRule], None], rule: AlertRule, fires: MakeIncident
) -> None:
    """He holds a row, and what he finds is an incident of the rule: each would wait for the other."""
    AlertState.objects.create(rule=rule, sensor_id=1, subject="sensor:1")
    with another(lambda: change(rule)) as other, transaction.atomic(), connection.cursor() as cursor:
        AlertState.objects.select_for_update().get()
        other.start()
        until_somebody_waits_for_us()
        fires(1)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert [one.end for one in Incident.objects.all()] == ["changed"]


@pytest.mark.django_db(transaction=True)
def test_whoever_changes_it_is_waited_for_by_whoever_deletes_it(rule: AlertRule) -> None:
    AlertState.objects.create(rule=rule, sensor_id=1, subject="sensor:1")
    with another(lambda: delete(rule)) as other, transaction.atomic():
        kept = AlertRule.objects.select_for_update(no_key=True).get()
        other.start()
        until_somebody_waits_for_us()
        kept.high = 30.0
        save(kept, [], None)
    assert not AlertRule.objects.exists()


@pytest.mark.django_db
def test_of_two_changes_each_has_a_version_of_its_own(rule: AlertRule) -> None:
    one, other = AlertRule.objects.get(pk=rule.pk), AlertRule.objects.get(pk=rule.pk)
    one.high, other.high = 30.0, 31.0
    save(one, [], None)
    save(other, [], None)
    assert (one.version, other.version) == (rule.version + 1, rule.version + 2)
    assert AlertRule.objects.get().version == other.version


@pytest.mark.django_db
def test_what_only_renames_it_takes_no_version_back(rule: AlertRule) -> None:
    one, other = AlertRule.objects.get(pk=rule.pk), AlertRule.objects.get(pk=rule.pk)
    one.high = other.high = 30.0
    save(one, [], None)
    other.name = "Far too warm"
    save(other, [], None)
    kept = AlertRule.objects.get()
    assert (kept.name, kept.version, kept.active_from) == ("Far too warm", one.version, one.active_from)
