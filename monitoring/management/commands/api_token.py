"""manage.py api_token USERNAME [--scope send] [--name NAME] [--days N]: prints a new token for the API."""

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext

from monitoring.models import Token
from monitoring.models.token import Scope

MOST_DAYS = 36_500


class Command(BaseCommand):
    help = gettext("Prints a new token for the API; send it as `Authorization: Token <token>`.")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--scope",
            choices=Scope.values,
            default=Scope.MANAGE.value,
            help=gettext("send: measurements alone; read: what the user may see; manage (the default): all"),
        )
        parser.add_argument("--name", default="", help=gettext("what it is for; the admin shows it"))
        parser.add_argument(
            "--days", type=int, help=gettext("how long it is good for; without it, until it is revoked")
        )

    def handle(
        self, *args: Any, username: str, days: int | None, scope: str, name: str, **options: Any
    ) -> None:
        if days is not None and not 1 <= days <= MOST_DAYS:
            raise CommandError(gettext("--days must lie between 1 and %d") % MOST_DAYS)
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            raise CommandError(
                gettext("there is no user %r: make one with `manage.py createsuperuser`, or in the admin")
                % username
            )
        if not user.is_active:
            raise CommandError(gettext("the user %r is not active: switch them on in the admin") % username)
        said = {"user": user, "scope": scope, "name": name}
        try:
            Token(**said).clean_fields(exclude=["digest", "token_key"])
            Token(**said).clean()
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        _, token = Token.objects.create(expiry=None if days is None else timedelta(days=days), **said)
        self.stdout.write(token)
