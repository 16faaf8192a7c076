"""Who may do what: Django's permissions of the user, within the scope of the token if one is shown."""

from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.utils.translation import gettext
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from monitoring.models import Token
from monitoring.models.token import Scope

if TYPE_CHECKING:
    # rest_framework.views reads the settings that name this module.
    from rest_framework.views import APIView

SEND = "monitoring.add_measurement"


class MayRead(BasePermission):
    """Reading, for everybody where API_PUBLIC_READ is set, else for whoever shows who they are.

    `view.is_private`: never for everybody. What was refused may be anything that strangers sent, and
    whoever made measurements public did not mean that. `view.is_of_managing`: reading too is beyond a token
    that may read.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        is_public = settings.API_PUBLIC_READ and not getattr(view, "is_private", False)
        if request.method in SAFE_METHODS and is_public:
            return True
        if not request.user.is_authenticated:
            return False
        needed = self.needed(request, view)
        is_beyond = getattr(view, "is_of_managing", False) and not manages(request)
        if is_beyond or not in_scope(request, needed):
            scope = request.auth.scope if isinstance(request.auth, Token) else ""
            self.message = gettext("The token's scope is %s, and this is beyond it.") % scope
            return False
        return self.may(request, needed)

    def needed(self, request: Request, view: "APIView") -> str | None:
        return None

    def may(self, request: Request, needed: str | None) -> bool:
        return request.method in SAFE_METHODS


class Permitted(MayRead):
    """`view.permissions` names the permission that each method needs; a method not named there nobody may."""

    def needed(self, request: Request, view: "APIView") -> str | None:
        method = "GET" if request.method == "HEAD" else request.method
        permissions: dict[str, str] = getattr(view, "permissions", {})
        return permissions.get(method or "")

    def may(self, request: Request, needed: str | None) -> bool:
        if request.method == "OPTIONS":
            return True
        if needed is None or request.user.has_perm(needed):
            return needed is not None
        self.message = lacks(request, needed)
        return False


class MayManage(BasePermission):
    """For one's own tokens alone: whoever shows who they are, by no token of a lesser scope."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return request.user.is_authenticated and in_scope(request, None)


def in_scope(request: Request, needed: str | None) -> bool:
    """A session has no scope."""
    if not isinstance(request.auth, Token):
        return True
    return {
        Scope.MANAGE: True,
        Scope.READ: request.method in SAFE_METHODS,
        Scope.SEND: needed == SEND,
    }[Scope(request.auth.scope)]


def manages(request: Request) -> bool:
    return not isinstance(request.auth, Token) or Scope(request.auth.scope) == Scope.MANAGE


def may_see(request: Request, permission: str) -> bool:
    """Whether that is by a right of their own, and not only because reading is public."""
    return request.user.has_perm(permission) and in_scope(request, permission)


def require(request: Request, permission: str) -> None:
    """For what needs another permission than its method does. Raises PermissionDenied (403)."""
    if not request.user.has_perm(permission):
        raise PermissionDenied(lacks(request, permission))


def user_of(request: Request) -> User:
    """Where a permission was needed: whoever has one is signed in."""
    return cast(User, request.user)


def lacks(request: Request, permission: str) -> str:
    text = gettext("This needs the permission %(permission)s, and %(user)s does not have it.")
    return text % {"permission": permission, "user": request.user.get_username()}
