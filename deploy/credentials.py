"""Makes the containers' passwords at their first start, and hands each to those who need it.

    python -m deploy.credentials

Runs at every `docker compose up`, before everything else. A secret comes from its variable; else it stays
what it was; else it is made. Each folder of FOLDER is a volume of its own, mounted by those who read it
and by nobody else.
"""

import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from process import private_file

FOLDER = Path("/run/iot")
# What needs no quoting in redis.conf, in Python, and in the double quotes of a shell.
PASSWORD = re.compile(r"[A-Za-z0-9!#%&()*+,./:;<=>?@^_|~-]{12,}")
# Django's own measure, `manage.py check --deploy`.
SECRET_KEY = re.compile(r"\S{50,}")


class WrongSecretError(Exception):
    """A variable holds what cannot be used as a secret; the message names it, without the value."""


def make(folder: Path, environ: Mapping[str, str]) -> list[str]:
    """Writes all files. Returns the names of what was made now. Raises WrongSecretError, OSError."""
    made: list[str] = []

    def secret(place: str, variable: str, shape: re.Pattern[str], wanted: str) -> str:
        given = environ.get(variable, "")
        if given and not shape.fullmatch(given):
            raise WrongSecretError(f"{variable} must have {wanted}; leave it out, and one is made")
        file = folder / place
        value = given or (file.read_text().strip() if file.exists() else "")
        if not value:
            made.append(variable)
            value = secrets.token_urlsafe(48 if shape is SECRET_KEY else 24)
        write(file, value + "\n")
        return value

    def password(place: str, variable: str) -> str:
        wanted = "at least 12 characters: letters, digits, punctuation but quotes, $ and backslash"
        return secret(place, variable, PASSWORD, wanted)

    def setting(name: str, otherwise: str) -> None:
        write(folder / "ours" / name, (environ.get(name) or otherwise) + "\n")

    secret("ours/SECRET_KEY", "SECRET_KEY", SECRET_KEY, "at least 50 characters and no blank")
    database = password("db/password", "POSTGRES_PASSWORD")
    redis = password("redis/password", "REDIS_PASSWORD")
    bridge = password("mosquitto/bridge", "MQTT_BRIDGE_PASSWORD")
    demo = password("mosquitto/demo", "MQTT_DEMO_PASSWORD")
    password("ours/FLOWER_PASSWORD", "FLOWER_PASSWORD")
    password("grafana/database", "GRAFANA_DB_PASSWORD")
    password("grafana/admin", "GRAFANA_PASSWORD")

    write(folder / "redis/redis.conf", f'requirepass "{redis}"\n')
    setting("DATABASE_URL", f"postgres://iot:{quote(database, '')}@db:5432/iot")
    setting("REDIS_URL", f"redis://:{quote(redis, '')}@redis:6379/0")
    scheme, _, broker = environ.get("BROKER", "mqtt://mosquitto:1883").partition("://")
    setting("MQTT_URL", f"{scheme}://bridge:{quote(bridge, '')}@{broker}")
    # Every board's topic; but on a broker that strangers use too, no more than one.
    topics = "iot/measurements" if environ.get("MQTT_URL") else "iot/measurements,iot/+/measurements"
    setting("MQTT_TOPICS", topics)
    # What the simulated board publishes with: the bridge's own user may not.
    board = environ.get("MQTT_URL") or f"mqtt://demo:{quote(demo, '')}@mosquitto:1883"
    write(folder / "ours/BOARD_MQTT_URL", board + "\n")
    return made


def write(file: Path, text: str) -> None:
    """Readable by all who have the volume: their user ids differ."""
    private_file.write(file, text, 0o444)


def main() -> None:
    try:
        made = make(FOLDER, os.environ)
    except (WrongSecretError, OSError) as error:
        sys.exit(f"credentials: {error}")
    print(f"credentials: made {', '.join(made)}" if made else "credentials: there")


if __name__ == "__main__":
    main()
