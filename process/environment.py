"""The variables of every process of the project, read in one way: bridge, web, workers, `make run` itself.

They come from the process's environment, then from `.env`, then from `DATA_DIR/environment`, where `make run`
notes what it started, so that `manage.py shell` in another terminal finds it without being told.
"""

import builtins
import os
from collections.abc import Collection, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values
from environs import Env, EnvValidationError
from marshmallow import ValidationError

from process import wrong_settings

PROJECT = Path(__file__).resolve().parent.parent
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LANGUAGES = ("en", "fr")


class SettingsError(Exception):
    """Variables are missing or wrong; the message is one line that names every one of them, and no secret."""

    def __init__(self, problems: Mapping[str, Collection[str]], language: str = "en") -> None:
        """`problems` are in English, the message in the language."""
        self.problems = dict(problems)
        lines = (
            f"{name}: {' '.join(wrong_settings.said(one, language) for one in why)}"
            for name, why in sorted(problems.items())
        )
        super().__init__("; ".join(lines))


def gather(environ: Mapping[str, str], project: Path = PROJECT, *, noted: bool = True) -> dict[str, str]:
    """All variables that are given, whichever of the three they come from. Raises SettingsError.

    The first of the three takes precedence, and an empty variable counts as not given. NAME and NAME_FILE
    stand for each other: either in the environment takes precedence over both in a file. `ENV_FILES=0` leaves
    the files out, `noted=False` only the last of them.
    """
    values = {name: value for name, value in environ.items() if value.strip()}
    if environ.get("ENV_FILES") != "0":
        _add(values, project / ".env")
        if noted:
            _add(values, data_dir(values, project) / "environment")
    return values


def language_of(values: Mapping[str, str]) -> str:
    """What LANGUAGE_CODE asks for; English where that is none of LANGUAGES."""
    asked = values.get("LANGUAGE_CODE", "").strip().lower()
    return asked if asked in LANGUAGES else LANGUAGES[0]


def forget_libpq() -> None:
    """Removes libpq's variables from this process's environment: DATABASE_URL alone names the database.

    libpq would fill what that leaves open from PGHOSTADDR, PGSERVICE, PGOPTIONS, PGSSLMODE and their like.
    """
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def data_dir(values: Mapping[str, str], project: Path = PROJECT) -> Path:
    return (project / Path(values.get("DATA_DIR") or ".data").expanduser()).absolute()


def _add(values: MutableMapping[str, str], file: Path) -> None:
    try:
        found = dotenv_values(file, interpolate=False, encoding="utf-8") if file.exists() else {}
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        problems = {str(file): [f"it cannot be read: {why}"]}
        raise SettingsError(problems, language_of(values)) from None
    before = set(values)
    for name, value in found.items():
        if value and value.strip() and not before & {name, f"{name}_FILE", name.removesuffix("_FILE")}:
            values[name] = value


class Environment(Env):
    """Reads variables by type, and collects every one that is wrong until `seal()`; until then, none counts.

    `NAME_FILE` names a file that holds the value of `NAME` (Docker secrets), and comes before `NAME`. Lists
    are split at commas and stripped.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        """Of the process's environment alone, where no values are given; `gather` gives all."""
        super().__init__(eager=False)
        self._given = os.environ if values is None else values

    def list(self, name: str, default: Any = ..., **options: Any) -> Any:  # type: ignore[override]
        """Words between commas; an empty one is none."""
        check = options.pop("validate", None)
        words = super().list(name, default, **options)
        if not isinstance(words, builtins.list):
            return words
        words = [word for word in map(str.strip, words) if word]
        if check:
            self.hold(name, check, words)
        return words

    def one_of(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """One of the choices, whichever case it was written in."""
        value = super().str(name, default) or default
        found = {choice.lower(): choice for choice in choices}.get(value.strip().lower())
        if found is None:
            self.wrong(name, f'is "{value}"; it must be {", ".join(choices[:-1])} or {choices[-1]}')
        return found or default

    def log_level(self) -> str:  # type: ignore[override]  # Env's gives numbers, and takes a name
        return self.one_of("LOG_LEVEL", "INFO", LEVELS)

    def language(self) -> str:
        return self.one_of("LANGUAGE_CODE", "en", LANGUAGES)

    def time_zone(self) -> str:
        """A name of the tz database: for logs and pages. What is stored and what the API says is UTC."""
        name = super().str("TIME_ZONE", "UTC") or "UTC"
        try:
            ZoneInfo(name)
        except (OSError, ValueError, ZoneInfoNotFoundError):
            self.wrong("TIME_ZONE", f'is "{name}"; it must be a name such as Europe/Paris, or UTC')
            return "UTC"
        return name

    def hold(self, name: str, check: Any, value: Any) -> None:
        """Notes what the check raises, a ValidationError or a ValueError, as wrong with the variable."""
        try:
            check(value)
        except ValidationError as error:
            for message in error.messages:
                self.wrong(name, str(message))
        except ValueError as error:
            self.wrong(name, str(error))

    def wrong(self, name: str, why: str) -> None:
        self._errors[name].append(why)

    def seal(self) -> None:
        """Raises SettingsError where a variable is missing or wrong."""
        try:
            super().seal()
        except EnvValidationError as error:
            found = dict(error.error_messages)  # type: ignore[arg-type]  # sealed, it is always a mapping
            # Without its file a variable is missing, too: that says nothing new.
            missing = {name.removesuffix("_FILE") for name in found if name.endswith("_FILE")}
            raise SettingsError(
                {name: dict.fromkeys(map(str, why)) for name, why in found.items() if name not in missing},
                language_of(self._given),
            ) from None

    def _get_value(self, env_key: str, default: Any) -> Any:
        file = self._given.get(f"{env_key}_FILE", "").strip()
        if not file:
            return self._given.get(env_key, "").strip() or default
        try:
            if value := Path(file).read_text(encoding="utf-8").strip():
                return value
            self.wrong(f"{env_key}_FILE", f"{file} is empty")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            self.wrong(f"{env_key}_FILE", f"{file} cannot be read: {why}")
        return default
