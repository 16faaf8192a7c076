"""Starts PostgreSQL and Redis for the tests, before Django reads where they are.

Loaded with `-p tests.plugin` rather than as a conftest, which would come after pytest-django has read
the settings. One server of each serves all of pytest-xdist's workers: each has a database and a
Redis database of its own. Tests that kill servers start their own (tests/journey).

It also says which tests are left out, and which go to one worker together.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from xdist.remote import Producer

from runner.services import Postgres, Redis
from tests.distribution import Distribution
from tests.parts import PARTS, Part, left_out

LEFT_OUT = "TEST_LEFT_OUT"
_started: list[Postgres | Redis] = []
_folder: Path | None = None


def _start() -> None:
    global _folder
    _folder = Path(tempfile.mkdtemp(prefix="iot-tests-"))
    _folder.chmod(0o755)
    (_folder / "data" / "static").mkdir(parents=True)
    (_folder / "clusters").mkdir()
    postgres = Postgres(_folder / "postgres", durable=False)
    redis = Redis(_folder / "redis")
    for service in (postgres, redis):
        _started.append(service.start())
    os.environ |= {
        "TEST_SERVICES": "started",
        "TEST_CLUSTERS": str(_folder / "clusters"),
        "ENV_FILES": "0",
        "DATABASE_URL": postgres.url,
        "REDIS_URL": redis.url,
        "SECRET_KEY": "for the tests alone",
        "DATA_DIR": str(_folder / "data"),
    }


if "TEST_SERVICES" not in os.environ:
    for name in ("DEBUG", "HTTPS", "API_PUBLIC_READ", "AUTO_REGISTER_SENSORS", "LANGUAGE_CODE", "FAILPOINTS"):
        os.environ.pop(name, None)
    _start()
elif (worker := os.environ.get("PYTEST_XDIST_WORKER")) is not None:
    # redis://…/0 → the worker's own: gw0 → 1, gw1 → 2
    os.environ["REDIS_URL"] = os.environ["REDIS_URL"].rpartition("/")[0] + f"/{int(worker[2:]) + 1}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Distribution:
    return Distribution(config, log)


def pytest_configure(config: pytest.Config) -> None:
    # Decided once: pytest-xdist's workers find it in their environment.
    if LEFT_OUT in os.environ:
        return
    named = [config.invocation_params.dir / arg.partition("::")[0] for arg in config.args]
    try:
        parts = left_out(config.rootpath, named, os.environ)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    os.environ[LEFT_OUT] = " ".join(part.name for part in parts)


def _parts_left_out() -> list[Part]:
    names = os.environ[LEFT_OUT].split()
    return [part for part in PARTS if part.name in names]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    folders = {config.rootpath / part.folder for part in _parts_left_out()}
    return True if collection_path in folders else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for part in _parts_left_out():
        terminalreporter.write_line(part.left_out)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Where the tests end, whoever started the servers stops them."""
    while _started:
        _started.pop().stop()
    if _folder is not None:
        shutil.rmtree(_folder, ignore_errors=True)
