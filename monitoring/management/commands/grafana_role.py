"""`manage.py grafana_role`: a role of the database that may read what is measured, and nothing else."""

import re
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError, connection, transaction
from django.utils.translation import gettext

NAME = "grafana"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

# What a query must not do, whoever wrote it: write, run for hours, take the connections that ours need.
_SETTINGS = """
ALTER ROLE {role} SET default_transaction_read_only TO on;
ALTER ROLE {role} SET statement_timeout TO '30s';
ALTER ROLE {role} SET jit TO off;
ALTER ROLE {role} CONNECTION LIMIT 10;
"""
# By column: what of a sensor is its owner's business stays there.
_RIGHTS = """
REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role};
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM {role};
GRANT CONNECT ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT (id, name, kind, unit, location, is_active) ON monitoring_sensor TO {role};
GRANT SELECT ON monitoring_measurement TO {role};
GRANT SELECT ON monitoring_rollup_minute, monitoring_rollup_hour, monitoring_rollup_day TO {role};
GRANT EXECUTE ON FUNCTION iot_series(bigint, timestamptz, timestamptz, integer) TO {role};
"""


class Command(BaseCommand):
    help = gettext(
        "Makes a role of the database for Grafana: it may call iot_series and read sensors, measurements and"
        " rollups, and nothing else: no users, no tokens, no rejected messages. May be run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--password-file", type=Path, required=True, help=gettext("a file with its password")
        )
        parser.add_argument("--name", default=NAME, help=gettext("its name (%s)") % NAME)

    def handle(self, *args: Any, password_file: Path, name: str, **options: Any) -> None:
        if not _NAME.fullmatch(name):
            raise CommandError(
                gettext("a role's name has small letters, digits and _, and begins with no digit")
            )
        try:
            password = password_file.read_text().strip()
        except OSError as error:
            raise CommandError(f"{password_file}: {error.strerror}") from None
        if len(password) < 12:
            raise CommandError(gettext("%s: a password has at least 12 characters") % password_file)
        role = connection.ops.quote_name(name)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [name])
                there = cursor.fetchone()
                if there and there[0]:
                    raise CommandError(
                        gettext("%s is a superuser of this database: choose another name") % name
                    )
                cursor.execute(f"{'ALTER' if there else 'CREATE'} ROLE {role} LOGIN PASSWORD %s", [password])
                cursor.execute(_SETTINGS.format(role=role))
        except ProgrammingError as error:
            remedy = gettext(
                "whoever administers PostgreSQL lets our user make roles meanwhile: ALTER ROLE %s CREATEROLE"
            )
            user = connection.settings_dict["USER"]
            raise CommandError(f"{str(error).splitlines()[0]}: {remedy % user}") from None
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_schema()")
            schema = connection.ops.quote_name(cursor.fetchone()[0])
            database = connection.ops.quote_name(str(connection.settings_dict["NAME"]))
            cursor.execute(_RIGHTS.format(role=role, schema=schema, database=database))
        text = (
            gettext("%s: there; it may read what is measured")
            if there
            else gettext("%s: made; it may read what is measured")
        )
        self.stdout.write(text % name)
