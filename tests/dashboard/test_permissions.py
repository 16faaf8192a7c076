"""What comes with a user in one statement is what Django finds in three."""

from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, Permission
from django.test import Client

from monitoring.roles import OPERATOR, VIEWER, make_groups
from monitoring.throttle import Backend

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("more", [{}, {"is_superuser": True}, {"is_active": False}])
def test_a_user_may_what_django_says(django_user_model: Any, more: dict[str, bool]) -> None:
    make_groups()
    user = django_user_model.objects.create_user("one", **more)
    other = django_user_model.objects.create_user("other")
    other.user_permissions.add(Permission.objects.get(codename="delete_session"))
    user.groups.set(Group.objects.filter(name__in=[VIEWER, OPERATOR]))
    user.user_permissions.add(Permission.objects.get(codename="view_session"))
    user.user_permissions.add(Permission.objects.get(codename="view_sensor"))  # a group's as well
    ours, theirs = Backend(), ModelBackend()
    found = ours.get_user(user.pk)
    if not more.get("is_active", True):
        assert found is None
        return
    assert ours.get_all_permissions(found) == theirs.get_all_permissions(theirs.get_user(user.pk))
    assert found.has_perm("monitoring.change_rejectedmessage")
    assert found.has_module_perms("monitoring")
    assert found.has_perm("sessions.delete_session") == bool(more)


def test_who_may_nothing_and_who_is_not_there(django_user_model: Any) -> None:
    nobody = django_user_model.objects.create_user("nobody")
    assert Backend().get_user(nobody.pk).get_all_permissions() == set()
    assert Backend().get_user(nobody.pk + 1) is None


def test_what_is_taken_away_is_gone_with_the_next_request(settings: Any, django_user_model: Any) -> None:
    settings.API_PUBLIC_READ = False
    user = django_user_model.objects.create_user("one")
    user.user_permissions.set([Permission.objects.get(codename="view_measurement")])
    client = Client()
    client.force_login(user)
    assert client.get("/").status_code == 200
    user.user_permissions.clear()
    assert client.get("/").status_code == 403
