"""Tokens: a name and a password give one; it is given back by logging out."""

from datetime import UTC

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring import throttle
from monitoring.api.authentication import BasicAuthentication, TokenAuthentication
from monitoring.api.bodies import has_body
from monitoring.api.permissions import MayManage
from monitoring.api.query import take_none
from monitoring.api.serializers import DetailSerializer
from monitoring.models import Token
from monitoring.models.token import Scope


class WantedSerializer(serializers.Serializer[object]):
    scope = serializers.ChoiceField(Scope.choices, default=Scope.MANAGE)
    name = serializers.CharField(max_length=100, default="", allow_blank=True, help_text="What it is for.")


class TokenSerializer(serializers.Serializer[object]):
    expiry = serializers.DateTimeField(
        allow_null=True, default_timezone=UTC, help_text="Null: it does not expire."
    )
    token = serializers.CharField(help_text="Send it as `Authorization: Token <token>`.")
    scope = serializers.ChoiceField(Scope.choices)


class Login(APIView):
    authentication_classes = [BasicAuthentication]
    permission_classes = [IsAuthenticated]

    @extend_schema(
        summary="A token, for a name and a password",
        description="`send` may send measurements and nothing else, `read` may read, `manage` all that its"
        " user may.",
        request=WantedSerializer,
        responses={200: TokenSerializer, 400: DetailSerializer, 429: DetailSerializer},
    )
    def post(self, request: Request) -> Response:
        take_none(request)
        # No body is as good as an empty one, whatever its type is said to be.
        said = WantedSerializer(data=request.data if has_body(request) else {})
        said.is_valid(raise_exception=True)
        throttle.take("tokens", str(request.user.pk), throttle.Rate.read(settings.THROTTLE_TOKENS))
        token, text = Token.objects.create(user=request.user, expiry=None, **said.validated_data)
        user_logged_in.send(sender=request.user.__class__, request=request, user=request.user)
        answer = {"expiry": token.expiry, "token": text, "scope": token.scope}
        return Response(TokenSerializer(answer).data)


class Logout(APIView):
    """With any scope: a board that is given away can give its token back."""

    authentication_classes = [TokenAuthentication]
    permission_classes = [IsAuthenticated]

    @extend_schema(summary="Give this token back", request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        take_none(request)
        request.auth.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class LogoutAll(APIView):
    authentication_classes = [TokenAuthentication]
    permission_classes = [MayManage]

    @extend_schema(summary="Give all of one's tokens back", request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        take_none(request)
        Token.objects.filter(user=request.user).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
