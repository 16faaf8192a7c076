"""The environment as every process of the project reads it: bridge, web, workers."""

from pathlib import Path
from typing import Any

from environs import Env
from marshmallow import ValidationError
from redis.connection import parse_url


class Environment(Env):
    """An Env that collects every bad variable until `seal()`. An empty variable counts as not given.

    `NAME_FILE` names a file that holds the value of `NAME` (Docker secrets), and comes before `NAME`. Reading
    raises ValueError where that file cannot be read, or is empty: what it was to protect would stand open.
    """

    def __init__(self) -> None:
        super().__init__(eager=False)

    def _get_value(self, env_key: str, default: Any) -> Any:
        if file := super()._get_value(f"{env_key}_FILE", ""):
            try:
                value = Path(file).read_text().strip()
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not text"
                raise ValueError(f"{env_key}_FILE: {file} cannot be read: {why}") from None
            if not value:
                raise ValueError(f"{env_key}_FILE: {file} is empty")
            return value
        value = super()._get_value(env_key, default)
        return default if isinstance(value, str) and not value.strip() else value


def redis_address(url: str) -> None:
    """Raises ValidationError, without the address itself: it holds a password."""
    try:
        parse_url(url)  # type: ignore[no-untyped-call]
        right = url.startswith(("redis://", "rediss://"))  # what Celery and the healthcheck can use too
    except ValueError:
        right = False
    if not right:
        raise ValidationError(
            "not an address: redis://:password@host:6379/0, with /, ?, # and @ in the password written "
            "%2F, %3F, %23 and %40"
        )
