"""What `make run` reads from its environment and `.env`, and what it hands on to what it starts."""

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from marshmallow.validate import Range

from bridge.settings import BridgeSettings
from process import address
from process.environment import Environment, SettingsError, data_dir, gather, language_of
from runner import machine
from runner.problem import Problem

DEFAULTS = {
    "MQTT_PORT": "1883",
    "MQTT_LISTEN": "127.0.0.1",
    "MQTT_TOPICS": "iot/measurements",
    "WEB_PORT": "8000",
    "WEB_LISTEN": "127.0.0.1",
    "FLOWER_PORT": "5555",
    "DATA_DIR": ".data",
    "SIMULATE": "1",
    "LANGUAGE_CODE": "en",
    "LOG_LEVEL": "INFO",
    "TIME_ZONE": "UTC",
    "DEBUG": "0",
    "HTTPS": "0",
    "API_PUBLIC_READ": "1",
    "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
}

URLS = ("DATABASE_URL", "REDIS_URL", "MQTT_URL")
SECRETS = (*URLS, "SECRET_KEY")
TLS_FILES = ("MQTT_CA_FILE", "MQTT_CERT_FILE", "MQTT_KEY_FILE")
# What stands for the address of a service that is not started yet, while everything else is looked at.
EMBEDDED = {
    "DATABASE_URL": "postgres://iot:not-made-yet@127.0.0.1/iot",
    "REDIS_URL": "redis://127.0.0.1/0",
    "MQTT_URL": "mqtt://127.0.0.1",
    "SECRET_KEY": "not made yet",
}

# make's, and what would make Python, Django or libpq another one for our processes than it is in the tests.
NOT_FOR_CHILDREN = ("MAKE", "MFLAGS", "PYTHON", "DJANGO_SETTINGS_MODULE", "PG")


@dataclass(frozen=True)
class RunSettings:
    """All of the above, checked. An empty variable counts as not given."""

    project: Path
    values: Mapping[str, str]
    """What the children get, besides what the runner adds."""
    data_dir: Path
    web_port: int
    flower_port: int
    mqtt_port: int
    simulate: int
    bridge: BridgeSettings
    """As the bridge will read them; where a service is embedded, its address is not known yet."""

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    @property
    def stand_ins(self) -> dict[str, str]:
        """`values`, and something for the address of each service that is not there yet."""
        return EMBEDDED | dict(self.values)

    def shown(self, path: Path) -> str:
        """A path as a person would write it: relative to the project where it lies below it."""
        return str(path.relative_to(self.project)) if path.is_relative_to(self.project) else str(path)


def load(project: Path, environ: Mapping[str, str]) -> RunSettings:
    """Raises Problem, which names every variable of the runner's and the bridge's that is wrong."""
    try:
        return _load(project, gather(environ, project, noted=False))
    except SettingsError as error:
        raise Problem(str(error)) from None


def _load(project: Path, given: Mapping[str, str]) -> RunSettings:
    values = DEFAULTS | {
        name: value for name, value in given.items() if not name.startswith(NOT_FOR_CHILDREN)
    }
    env = Environment(values)
    addresses = {"DATABASE_URL": address.postgres, "REDIS_URL": address.redis}
    read = {name: env.str(name, None, validate=addresses.get(name)) for name in SECRETS}
    values |= {name: value for name, value in read.items() if value}
    values |= {"LOG_LEVEL": env.log_level(), "LANGUAGE_CODE": env.language()}
    if "ALLOWED_HOSTS" not in given and machine.is_open(values["WEB_LISTEN"]):
        others = [machine.in_url(host) for host in machine.addresses(values["WEB_LISTEN"])]
        values["ALLOWED_HOSTS"] = ",".join([DEFAULTS["ALLOWED_HOSTS"], *machine.names(), *others])
    values["DATA_DIR"] = str(data_dir(values, project))
    port, boards = Range(1, 65535), Range(0, 1000)
    ports = {name: env.int(name, validate=port) for name in ("WEB_PORT", "FLOWER_PORT", "MQTT_PORT")}
    simulate = env.int("SIMULATE", validate=boards)
    used = {name: number for name, number in ports.items() if name != "MQTT_PORT" or "MQTT_URL" not in values}
    if len(set(used.values())) < len(used):
        env.wrong(", ".join(used), "they must differ")
    return RunSettings(
        project,
        values,
        Path(values["DATA_DIR"]),
        ports["WEB_PORT"],
        ports["FLOWER_PORT"],
        ports["MQTT_PORT"],
        simulate,
        _sealed_with_the_bridges(env, EMBEDDED | values),
    )


def _sealed_with_the_bridges(env: Environment, values: Mapping[str, str]) -> BridgeSettings:
    """Raises SettingsError with what is wrong of either's."""
    problems: dict[str, Collection[str]] = {}
    try:
        bridge = BridgeSettings.from_environment(values)
    except SettingsError as error:
        problems |= error.problems
    try:
        env.seal()
    except SettingsError as error:
        problems |= error.problems
    if problems:
        raise SettingsError(problems, language_of(values))
    return bridge


def as_file(values: Mapping[str, str]) -> str:
    """NAME=value lines, as .env files have them."""
    lines = ["# Written by `make run` at every start, for `manage.py` in another terminal."]
    for name, value in sorted(values.items()):
        plain = shlex.quote(value) == value
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"{name}={value}" if plain else f"{name}='{escaped}'")
    return "\n".join(lines) + "\n"
