"""The ground that every benchmark stands on: a folder, settings, how far it has come, what it cost."""

import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.core.management.base import OutputWrapper

from monitoring.management.progress import Progress

PROJECT = Path(__file__).parent.parent


@contextmanager
def folder(keep: Path | None = None) -> Iterator[Path]:
    """A temporary folder, or `keep`, which is made where it is missing and stays.

    PostgreSQL, which may run as another user, can enter it.
    """
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="iot-bench-") as name:
        made = Path(name)
        made.chmod(0o755)
        yield made


def environment(data: Path, database_url: str, redis_url: str, **more: str) -> dict[str, str]:
    """The variables of a benchmark; nothing that the user's own .env says counts."""
    return {
        "ENV_FILES": "0",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": "for the benchmark alone",
        "DATA_DIR": str(data),
        "LOG_LEVEL": "WARNING",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        **more,
    }


def django_on(variables: dict[str, str]) -> None:
    """Makes this process one of the project's, with these variables."""
    os.environ |= variables
    import django

    django.setup()


def progress(unit: str) -> Progress:
    """A bar on a terminal, else a line now and then; on stderr, so that stdout holds the figures alone."""
    return Progress(OutputWrapper(sys.stderr), unit)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that so many percent of them do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
