"""`manage.py first_run`: what a fresh installation needs to be used at once."""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.utils.translation import gettext

from monitoring import locks
from monitoring.models import AlertRule, Sensor
from monitoring.upkeep.partitions import TooManyPartitionsError, ensure_partitions
from process import private_file

# What nobody mistakes for another when reading it from a screen.
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


class Command(BaseCommand):
    # migrate has just run them; they cost a second.
    requires_system_checks = []

    help = gettext(
        "Makes partitions, sensors 1 to 3 with an alert for their silence, and an admin user where there are"
        " none. May be run again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.now(UTC)
        try:
            made = ensure_partitions(now - timedelta(days=31), now + timedelta(days=31))
        except TooManyPartitionsError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            gettext("partitions: %d made") % len(made) if made else gettext("partitions: there")
        )
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [locks.FIRST_RUN])
            self.make_sensors()
            self.make_admin()

    def make_sensors(self) -> None:
        if Sensor.objects.exists():
            self.stdout.write(gettext("sensors: there"))
            return
        Sensor.objects.register(
            [
                Sensor(id=1, name="Capteur Temp Salon", kind="temperature", unit="°C"),
                Sensor(id=2, name="Capteur Humidité Salon", kind="humidity", unit="%"),
                Sensor(id=3, name="Capteur Lumière Salon", kind="light", unit="V"),
            ]
        )
        self.stdout.write(gettext("sensors: made 1 to 3"))
        # With the first sensors, once: whoever deletes it does not want it.
        if not AlertRule.objects.exists():
            AlertRule.objects.create(name=gettext("A sensor is silent"), kind=AlertRule.Kind.SILENCE)
            self.stdout.write(gettext("alerts: made a rule for silent sensors"))

    def make_admin(self) -> None:
        """The password is in the file before the user is committed: no admin whose password nobody has."""
        users = get_user_model().objects
        if users.filter(is_superuser=True).exists():
            self.stdout.write(gettext("admin: there"))
            return
        if users.filter(username="admin").exists():
            self.stdout.write(
                gettext(
                    'admin: the user "admin" is no superuser;'
                    " manage.py createsuperuser makes one of another name"
                )
            )
            return
        password = "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(4))
        path = Path(settings.DATA_DIR) / "admin-password"
        try:
            private_file.write(path, password + "\n")
        except OSError as error:
            said = {"path": path, "error": error.strerror}
            text = gettext("the admin's password cannot be kept in %(path)s: %(error)s") % said
            raise CommandError(text) from None
        users.create_superuser("admin", password=password)
        self.stdout.write(gettext('admin: made the user "admin"; its password is in %s') % path)
