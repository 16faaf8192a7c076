"""Tokens: a name and a password give one; it is given back by logging out."""

from drf_spectacular.utils import extend_schema
from knox import views as knox
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring.api.authentication import BasicAuthentication, TokenAuthentication


class TokenSerializer(serializers.Serializer[object]):
    expiry = serializers.DateTimeField(allow_null=True, help_text="Null: it does not expire.")
    token = serializers.CharField(help_text="Send it as `Authorization: Token <token>`.")


class Login(knox.LoginView):  # type: ignore[misc]  # knox has no types
    authentication_classes = [BasicAuthentication]

    @extend_schema(summary="A token, for a name and a password", request=None, responses=TokenSerializer)
    def post(self, request: Request) -> Response:
        return super().post(request)  # type: ignore[no-any-return]


class Logout(knox.LogoutView):  # type: ignore[misc]
    authentication_classes = [TokenAuthentication]

    @extend_schema(summary="Give this token back", request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        return super().post(request)  # type: ignore[no-any-return]


class LogoutAll(knox.LogoutAllView):  # type: ignore[misc]
    authentication_classes = [TokenAuthentication]

    @extend_schema(summary="Give all of one's tokens back", request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        return super().post(request)  # type: ignore[no-any-return]
