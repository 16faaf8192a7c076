"""Who may see a page: everybody where API_PUBLIC_READ is set, else whoever is signed in and may."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]

MEASUREMENTS = "monitoring.view_measurement"
BOOKS = "monitoring.view_ingestbatch"
REJECTED = "monitoring.view_rejectedmessage"
INCIDENTS = "monitoring.view_incident"
RULES = "monitoring.view_alertrule"


def may_see(request: HttpRequest, permission: str = MEASUREMENTS) -> bool:
    return settings.API_PUBLIC_READ or request.user.has_perm(permission)


def readable(permission: str = MEASUREMENTS) -> Callable[[View[P]], View[P]]:
    """Decorates a page that reads: redirects to the login without one; 403 without the permission."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if may_see(request, permission):
                return view(request, *args, **kwargs)
            if request.user.is_authenticated:
                raise PermissionDenied
            return redirect_to_login(request.get_full_path())

        return guarded

    return decorate


def signed_in(permission: str) -> Callable[[View[P]], View[P]]:
    """Decorates a page that changes something, or is never public: only by a permission of one's own."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if request.user.has_perm(permission):
                return view(request, *args, **kwargs)
            if request.user.is_authenticated:
                raise PermissionDenied
            # Where a form was sent, the way back is the page that it stood on: a POST cannot be repeated.
            back = request.get_full_path() if request.method in ("GET", "HEAD") else "/alerts/"
            return redirect_to_login(back)

        return guarded

    return decorate
