"""A user of a session comes with what they may: one statement, where Django asks three times."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q, Value
from django.db.models.functions import Concat


class PermissionsWithUser(ModelBackend):
    def get_user(self, user_id: Any) -> Any:
        from django.contrib.auth.models import Permission

        held = (
            Permission.objects.filter(Q(user=OuterRef("pk")) | Q(group__user=OuterRef("pk")))
            .order_by()
            .values(name_of=Concat("content_type__app_label", Value("."), "codename"))
            .distinct()
        )
        users = get_user_model()._default_manager.annotate(held=ArraySubquery(held))
        user: Any = users.filter(pk=user_id).first()
        if user is None or not self.user_can_authenticate(user):
            return None
        user.held = frozenset(user.held)
        return user

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> Any:
        """As Django has them, of a user that came another way (a token's), or who may all."""
        held = getattr(user_obj, "held", None)
        if held is None or obj is not None or user_obj.is_superuser or not user_obj.is_active:
            return super().get_all_permissions(user_obj, obj)
        return held
