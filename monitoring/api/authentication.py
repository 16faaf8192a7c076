"""Who is asking. What a client puts into Authorization may be anything; it never is a 500."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext
from knox.crypto import hash_token
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from monitoring import throttle
from monitoring.models import Token

SCHEMES = (b"token", b"bearer")


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: Token <token>`, or `Bearer <token>`. `request.auth` is then the Token."""

    def authenticate(self, request: Request) -> tuple[Any, Token] | None:
        said = authentication.get_authorization_header(request).split()
        if not said or said[0].lower() not in SCHEMES:
            return None
        # It is hashed as text, and that is hexadecimal.
        token = _token(said[1].decode()) if len(said) == 2 and said[1].isalnum() else None
        if token is None:
            throttle.count_wrong(request)
            raise AuthenticationFailed(gettext("Invalid token."))
        if token.has_expired:
            raise AuthenticationFailed(gettext("The token has expired."))
        if not token.user.is_active:
            raise AuthenticationFailed(gettext("User inactive or deleted."))
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Token"


class BasicAuthentication(authentication.BasicAuthentication):
    """`Authorization: Basic ...`, for logging in alone."""

    def authenticate_credentials(self, userid: str, password: str, request: Request | None = None) -> Any:
        if "\0" in userid or "\0" in password:
            raise AuthenticationFailed(gettext("Invalid username/password."))
        return super().authenticate_credentials(userid, password, request)


def _token(said: str) -> Token | None:
    tokens: QuerySet[Token] = Token.objects.select_related("user")
    return tokens.filter(digest=hash_token(said)).first()
