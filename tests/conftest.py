"""What tests of every part use."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import TransactionTestCase, override_settings
from django.utils import translation
from hypothesis import settings as hypothesis_settings

from batches.store import BatchStore
from monitoring.ingest import after_commit
from monitoring.models import Sensor
from monitoring.roles import make_groups
from monitoring.upkeep.partitions import ensure_partitions
from monitoring.upkeep.schedule import make_schedule
from runner.services import Redis
from tests.examples import examples

# How long an example takes says how busy the machine is.
untimed = hypothesis_settings(deadline=None, max_examples=examples(100))
hypothesis_settings.register_profile("untimed", untimed)
# Drawn from the test's text alone, so that a commit is judged alike each time: --hypothesis-profile=same.
hypothesis_settings.register_profile("same", untimed, derandomize=True)
hypothesis_settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """A password is made slow to guess: a third of a second of CPU for each user that a test makes."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session", autouse=True)
def emptied_quickly() -> Iterator[None]:
    """After a test that commits, the tables that hold rows are emptied. Django would empty them all, and make
    the permissions of all models anew: a third of a second for each such test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", _empty)
        yield


def _empty(_: TransactionTestCase) -> None:
    kept = {model._meta.db_table for model in (ContentType, Permission)}  # made by migrate alone
    tables = sorted(set(connection.introspection.django_table_names(include_views=False)) - kept)
    with connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in tables)
        )
        if filled := [name for (name,) in cursor.fetchall()]:
            cursor.execute(f"TRUNCATE {', '.join(filled)} CASCADE")
    # As after migrate.
    make_schedule()
    make_groups()


@pytest.fixture
def store() -> Iterator[BatchStore]:
    """The batch store on this test worker's own Redis database, empty."""
    store = BatchStore.at(settings.REDIS_URL, settings.BATCHES_MAX_BYTES)
    store.redis.flushdb()
    yield store
    store.redis.close()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis that the test may kill."""
    redis = Redis(tmp_path / "redis").start()
    yield redis
    redis.stop()


@pytest.fixture
def own_store(own_redis: Redis) -> BatchStore:
    """One that the test may hold up, without holding up the tests beside it."""
    return BatchStore.at(own_redis.url, 2**30)


@pytest.fixture
def now() -> datetime:
    """When the test began."""
    return datetime.now(UTC)


@pytest.fixture
def noon(now: datetime) -> datetime:
    """Of the day before yesterday: in the past, and far from a change of the day."""
    return now.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)


@pytest.fixture
def sensors(db: None, now: datetime) -> dict[int, Sensor]:
    """Sensors 1 to 3 as `make run` makes them, and partitions around now."""
    ensure_partitions(now - timedelta(days=40), now + timedelta(days=1))
    Sensor.objects.register(
        [
            Sensor(id=1, name="Capteur Temp Salon", kind="temperature", unit="°C"),
            Sensor(id=2, name="Capteur Humidité Salon", kind="humidity", unit="%"),
            Sensor(id=3, name="Capteur Lumière Salon", kind="light", unit="V"),
        ]
    )
    return Sensor.objects.in_bulk()


@pytest.fixture(autouse=True)
def nobody_listens_on() -> Iterator[None]:
    """Who subscribed to commits in a test hears nothing of the next one's."""
    before = list(after_commit._subscribers)
    yield
    after_commit._subscribers[:] = before


@pytest.fixture(autouse=True)
def no_language_stays() -> Iterator[None]:
    """What a page was asked for in is the thread's until the next one."""
    yield
    translation.deactivate()
