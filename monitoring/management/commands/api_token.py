"""manage.py api_token USERNAME [--days N]: prints a new token for the API."""

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from knox.models import AuthToken

MOST_DAYS = 36_500


class Command(BaseCommand):
    help = "Prints a new token for the API; send it as `Authorization: Token <token>`."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--days", type=int, help="how long it is good for; without it, until logged out")

    def handle(self, *args: Any, username: str, days: int | None, **options: Any) -> None:
        if days is not None and not 1 <= days <= MOST_DAYS:
            raise CommandError(f"--days must lie between 1 and {MOST_DAYS}")
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            raise CommandError(
                f"there is no user {username!r}: make one with `manage.py createsuperuser`, or in the admin"
            )
        if not user.is_active:
            raise CommandError(f"the user {username!r} is not active: switch them on in the admin")
        expiry = None if days is None else timedelta(days=days)
        _, token = AuthToken.objects.create(user=user, expiry=expiry)
        self.stdout.write(token)
