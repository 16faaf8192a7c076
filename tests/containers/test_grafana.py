"""Grafana's profile: its role of the database reads what is measured and nothing else, and its dashboard asks
for no more than that."""

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg2.errors import InsufficientPrivilege, ReadOnlySqlTransaction

from deploy.credentials import make
from monitoring.models import Sensor
from tests.rollups.rows import store as store_rows

PROJECT = Path(__file__).parents[2]
GRAFANA = PROJECT / "deploy" / "grafana"
COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SOURCE = yaml.safe_load((GRAFANA / "provisioning/datasources/iot-monitor.yml").read_text())["datasources"][0]
DASHBOARD = json.loads((GRAFANA / "dashboards/sensors.json").read_text())


def connect(user: str, password: str) -> Any:
    at = connection.settings_dict
    made = psycopg2.connect(host=at["HOST"], port=at["PORT"], dbname=at["NAME"], user=user, password=password)
    made.autocommit = True
    return made


def as_superuser(sql: str) -> None:
    password = (settings.DATA_DIR.parent / "postgres" / "superuser-password").read_text().strip()
    made = connect("postgres", password)
    try:
        with made.cursor() as cursor:
            cursor.execute(sql)
    finally:
        made.close()


@pytest.fixture
def role(transactional_db: None, tmp_path: Path) -> Iterator[Any]:
    """A cursor of the role, made with the password that the containers have for it."""
    (tmp_path / "grafana").mkdir()
    for name in ("ours", "db", "redis", "mosquitto"):
        (tmp_path / name).mkdir()
    make(tmp_path, {})
    file = tmp_path / "grafana" / "database"
    name = f"grafana_{connection.settings_dict['NAME']}"  # roles are of the server, which tests share
    us = connection.settings_dict["USER"]
    as_superuser(f"ALTER ROLE {us} CREATEROLE")
    try:
        for said in ("made", "there"):
            out = StringIO()
            call_command("grafana_role", password_file=file, name=name, stdout=out)
            assert out.getvalue() == f"{name}: {said}; it may read what is measured\n"
        made = connect(name, file.read_text().strip())
        with made.cursor() as cursor:
            yield cursor
        made.close()
    finally:
        as_superuser(f"DROP OWNED BY {name}; DROP ROLE {name}; ALTER ROLE {us} NOCREATEROLE")


def refused(cursor: Any, sql: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        cursor.execute(sql)


def test_the_role_reads_what_is_measured_and_nothing_else(role: Any, sensors: dict[int, Sensor]) -> None:
    at = datetime.now(UTC) - timedelta(minutes=10)
    store_rows([(3, at, 2.5), (3, at + timedelta(minutes=1), 3.5)])
    role.execute("SELECT count, avg FROM iot_series(3, now() - interval '1 hour', now(), 100)")
    assert role.fetchall() == [(1, 2.5), (1, 3.5)]
    role.execute("SELECT id, name FROM monitoring_sensor WHERE id = 3")
    assert role.fetchall() == [(3, "Capteur Lumière Salon")]
    role.execute("SELECT count(*) FROM monitoring_measurement")
    assert role.fetchone() == (2,)
    readable = {"monitoring_measurement", "monitoring_sensor"}
    readable |= {f"monitoring_rollup_{level}" for level in ("minute", "hour", "day")}
    with connection.cursor() as cursor:  # partitions too: what a parent lets read is read through it
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        others = [name for (name,) in cursor.fetchall() if name not in readable]
    assert {"auth_user", "monitoring_token", "monitoring_rejectedmessage", "django_session"} <= set(others)
    for name in others:
        refused(role, f'SELECT count(*) FROM "{name}"')
    refused(role, "SELECT removal_requested_at FROM monitoring_sensor")
    with pytest.raises(ReadOnlySqlTransaction):
        role.execute("CREATE TEMPORARY TABLE mine (id integer)")
    role.execute("SET default_transaction_read_only TO off")
    for sql in (
        "DELETE FROM monitoring_measurement",
        "UPDATE monitoring_sensor SET name = 'x'",
        "CREATE TABLE mine (id integer)",
        "CREATE ROLE other",
        "COPY monitoring_measurement TO PROGRAM 'cat'",
    ):
        refused(role, sql)
    role.execute("SELECT current_setting('statement_timeout')")
    assert role.fetchone() == ("30s",)


def test_every_query_of_the_dashboard_may_be_asked(role: Any, sensors: dict[int, Sensor]) -> None:
    now = datetime.now(UTC)
    moments = [now - timedelta(minutes=5 * place) for place in range(1, 9)]
    store_rows([(sensor, moment, 1.5) for sensor in (1, 3) for moment in moments])
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    role.execute(variables["sensor"]["query"])
    assert [column.name for column in role.description] == ["__text", "__value"]
    assert {3, 1, 2} == {value for _, value in role.fetchall()}
    said = {
        "${sensor:csv}": "1,3",
        "$points": variables["points"]["current"]["value"],
        "$__timeFrom()": f"'{now - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}'",
        "$__timeTo()": f"'{now:%Y-%m-%dT%H:%M:%SZ}'",
    }
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            sql = target["rawSql"]
            for macro, value in said.items():
                sql = sql.replace(macro, value)
            assert "$" not in sql
            role.execute(sql)
            found = role.fetchall()
            assert found, sql
            if target["format"] == "time_series":
                assert [column.name for column in role.description] == ["time", "metric", "value"]
                assert [row[0] for row in found] == sorted(row[0] for row in found)


def test_a_role_that_cannot_be_made(transactional_db: None, tmp_path: Path) -> None:
    file = tmp_path / "password"
    with pytest.raises(CommandError, match="No such file"):
        call_command("grafana_role", password_file=file)
    file.write_text("too short")
    with pytest.raises(CommandError, match="at least 12 characters"):
        call_command("grafana_role", password_file=file)
    file.write_text("long enough as it is")
    with pytest.raises(CommandError, match="begins with no digit"):
        call_command("grafana_role", password_file=file, name='x"; DROP')
    with pytest.raises(CommandError, match="postgres is a superuser"):
        call_command("grafana_role", password_file=file, name="postgres")
    with pytest.raises(CommandError, match="ALTER ROLE iot CREATEROLE"):
        call_command("grafana_role", password_file=file, name="grafana_that_is_not_made")


def test_what_is_provisioned_fits_together() -> None:
    grafana = COMPOSE["services"]["grafana"]
    assert (SOURCE["url"], SOURCE["user"], SOURCE["jsonData"]["database"]) == ("db:5432", "grafana", "iot")
    start = (GRAFANA / "start.sh").read_text()
    assert SOURCE["secureJsonData"] == {"password": "$DATABASE_PASSWORD"}
    assert "export DATABASE_PASSWORD" in start
    assert "./deploy/grafana:/etc/iot:ro" in grafana["volumes"]
    assert grafana["entrypoint"] == ["sh", "/etc/iot/start.sh"]
    for path in (
        grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"],
        grafana["environment"]["GF_PATHS_PROVISIONING"],
    ):
        assert (GRAFANA / Path(path).relative_to("/etc/iot")).exists()
    for panel in [*DASHBOARD["panels"], *DASHBOARD["templating"]["list"]]:
        if panel["type"] != "custom":
            assert panel["datasource"] == {"type": SOURCE["type"], "uid": SOURCE["uid"]}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_it_waits_for_its_passwords(tmp_path: Path) -> None:
    """Its entry point, with folders of the test's for those of the container."""
    text = (GRAFANA / "start.sh").read_text()
    text = text.replace("credentials=/run/iot", f"credentials={tmp_path}")
    text = text.replace("exec /run.sh", "exec printenv DATABASE_PASSWORD #")
    assert text.count(str(tmp_path)) == text.count("printenv") == 1
    process = subprocess.Popen(["sh", "-c", text], stdout=subprocess.PIPE, text=True)
    (tmp_path / "admin").write_text("another\n")
    assert process.poll() is None
    (tmp_path / "database").write_text("a-password\n")
    assert process.communicate(timeout=30) == ("a-password\n", None)


def test_no_secret_stands_in_what_is_provisioned() -> None:
    for file in GRAFANA.rglob("*"):
        if file.is_file():
            assert not re.search(r"password:\s*[^$\s]", file.read_text()), file
