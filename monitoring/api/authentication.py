"""Who is asking. What a client puts into Authorization may be anything; it never is a 500."""

from typing import Any

from knox.auth import TokenAuthentication as KnoxAuthentication
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request


class TokenAuthentication(KnoxAuthentication):  # type: ignore[misc]  # knox has no types
    """`Authorization: Token <token>`."""

    def authenticate_credentials(self, token: bytes) -> Any:
        # knox decodes as UTF-8 and asks the database, which takes no NUL.
        if not token.isalnum():
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)


class BasicAuthentication(authentication.BasicAuthentication):
    """`Authorization: Basic ...`, for logging in alone."""

    def authenticate_credentials(self, userid: str, password: str, request: Request | None = None) -> Any:
        if "\0" in userid or "\0" in password:
            raise AuthenticationFailed("Invalid username/password.")
        return super().authenticate_credentials(userid, password, request)
