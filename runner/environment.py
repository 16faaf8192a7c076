"""The variables of `make run`: the real environment, then `.env`, then defaults."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values

from runner.problem import Problem

DEFAULTS = {
    "MQTT_PORT": "1883",
    "MQTT_LISTEN": "127.0.0.1",
    "MQTT_TOPICS": "iot/measurements",
    "WEB_PORT": "8000",
    "FLOWER_PORT": "5555",
    "DATA_DIR": ".data",
    "SIMULATE": "1",
    "LANGUAGE_CODE": "en",
    "LOG_LEVEL": "INFO",
    "DEBUG": "0",
    "HTTPS": "0",
    "API_PUBLIC_READ": "1",
    "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
}

URLS = ("DATABASE_URL", "REDIS_URL", "MQTT_URL")
SECRETS = (*URLS, "SECRET_KEY")
NOT_FOR_CHILDREN = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "MAKE_TERMOUT", "MAKE_TERMERR"}


@dataclass(frozen=True)
class Environment:
    """All of the above, checked. An empty variable counts as not given."""

    project: Path
    values: Mapping[str, str]
    """What the children get, besides what the runner adds."""
    data_dir: Path
    web_port: int
    flower_port: int
    mqtt_port: int
    simulate: int

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    def shown(self, path: Path) -> str:
        """A path as a person would write it: relative to the project where it lies below it."""
        return str(path.relative_to(self.project)) if path.is_relative_to(self.project) else str(path)


def given(values: Mapping[str, str], name: str) -> str:
    """A variable, or what stands in the file that NAME_FILE names; else empty. Raises Problem."""
    if values.get(name) or not (path := values.get(f"{name}_FILE")):
        return values.get(name, "")
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise Problem(f"{name}_FILE: {path} cannot be read: {error.strerror}") from error


def load(project: Path, environ: Mapping[str, str]) -> Environment:
    """Raises Problem, which names every variable that is wrong."""
    file = project / ".env"
    written: dict[str, str] = {}
    if environ.get("ENV_FILES", "1") != "0" and file.exists():
        try:
            written = {name: value or "" for name, value in dotenv_values(file, interpolate=False).items()}
        except (OSError, UnicodeDecodeError) as error:
            raise Problem(f"{file} cannot be read: {error}") from error
    values = {name: value for name, value in written.items() if value}
    values |= {name: value for name, value in environ.items() if value or name not in values}
    for name in SECRETS:
        if not values.get(name):
            values[name] = given(values, name)
    for name, default in DEFAULTS.items():
        if not values.get(name):
            values[name] = default
    for name in NOT_FOR_CHILDREN | {name for name in SECRETS if not values.get(name)}:
        values.pop(name, None)

    wrong: list[str] = []

    def number(name: str, low: int, high: int) -> int:
        text = values[name]
        if text.isascii() and text.isdigit() and low <= int(text[:9]) <= high:
            return int(text)
        wrong.append(f'{name} is "{text}"; it must be a number from {low} to {high}')
        return low

    web, flower = number("WEB_PORT", 1, 65535), number("FLOWER_PORT", 1, 65535)
    mqtt, simulate = number("MQTT_PORT", 1, 65535), number("SIMULATE", 0, 1000)
    used = {"WEB_PORT": web, "FLOWER_PORT": flower} | ({} if values.get("MQTT_URL") else {"MQTT_PORT": mqtt})
    if not wrong and len(set(used.values())) < len(used):
        wrong.append(f"{', '.join(used)} must differ")
    if wrong:
        raise Problem("; ".join(wrong))
    data_dir = (project / Path(values["DATA_DIR"]).expanduser()).absolute()
    values["DATA_DIR"] = str(data_dir)
    return Environment(project, values, data_dir, web, flower, mqtt, simulate)


def as_file(values: Mapping[str, str]) -> str:
    """NAME=value lines, as .env files have them."""
    lines = ["# Written by `make run` at every start, for `manage.py` in another terminal."]
    for name, value in sorted(values.items()):
        plain = shlex.quote(value) == value
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"{name}={value}" if plain else f"{name}='{escaped}'")
    return "\n".join(lines) + "\n"


def without_password(text: str, url: str) -> str:
    """`text` with the password of `url` blotted out, quoted or not."""
    try:
        password = urlsplit(url).password
    except ValueError:
        password = None
    for secret in {password, unquote(password)} if password else set():
        text = text.replace(secret, "***")
    return text
