"""Beat's scheduler: the schedule from the database, a heartbeat, and retries where a server is away."""

import logging
import time
from datetime import timedelta
from typing import Any, cast

from celery.beat import SchedulingError
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection
from django_celery_beat.schedulers import DatabaseScheduler

from monitoring.store import pulse
from process.heartbeat import INTERVAL_SECONDS

logger = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
A_MINUTE = timedelta(minutes=1)


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """DatabaseScheduler ends, or goes on with a dead connection, where PostgreSQL restarts under it.

    Here a tick that finds no database sends nothing and is retried a second later. A job that came due
    several times in between is sent once.

    And it costs little at rest: to write down each run of a job of seconds, and to ask several times a tick
    whether the schedule is another one, cost as much as those jobs.
    """

    sync_every = A_MINUTE.total_seconds()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.pulse = pulse("beat")
        self._database_away = self._broker_away = False
        self._asked_at: float | None = None
        # One connection for all ticks; a health check finds one that the server closed.
        connection.settings_dict["CONN_MAX_AGE"] = None
        connection.settings_dict["CONN_HEALTH_CHECKS"] = True
        super().__init__(*args, **kwargs)
        self.max_interval: float = min(self.max_interval, INTERVAL_SECONDS)

    def setup_schedule(self) -> None:
        while not self._database_answers():
            time.sleep(WAIT_SECONDS)
        super().setup_schedule()

    def install_default_entries(self, data: Any) -> None:
        """Celery's clean-up of results: there are no results."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Sends what is due. Returns the seconds until the next tick should come."""
        self.pulse.beat()
        if not self._database_answers():
            return WAIT_SECONDS
        try:
            return cast(float, super().tick(*args, **kwargs))
        except DatabaseError as error:
            self._lost_database(error)
            self._last_timestamp = None
            return WAIT_SECONDS

    def schedule_changed(self) -> bool:
        # Asked several times a tick.
        if self._asked_at is not None and time.monotonic() - self._asked_at < WAIT_SECONDS:
            return False
        self._asked_at = time.monotonic()
        return self._database_answers() and super().schedule_changed()

    def should_sync(self) -> bool:
        """Notes at once what was sent, but for jobs of seconds: these are noted within a minute."""
        return super().should_sync() or any(map(self._is_seldom, self._dirty))

    def _is_seldom(self, name: str) -> bool:
        entry = self._schedule.get(name)
        if entry is None:
            return False  # it was deleted after it was sent
        run_every: timedelta | None = getattr(entry.schedule, "run_every", None)
        return run_every is None or run_every >= A_MINUTE or entry.model.one_off

    def sync(self) -> None:
        if self._database_answers():
            super().sync()

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            if not self._broker_away:
                logger.warning("beat: cannot send %s: %s", entry.task, error)
            self._broker_away = True
        else:
            logger.debug("beat: sent %s", entry.task)
            if self._broker_away:
                logger.info("beat: sends tasks again")
            self._broker_away = False

    def _database_answers(self) -> bool:
        try:
            close_old_connections()
            connection.ensure_connection()
        except DatabaseError as error:
            self._lost_database(error)
            return False
        if self._database_away:
            logger.info("beat: the database is back")
        self._database_away = False
        return True

    def _lost_database(self, error: DatabaseError) -> None:
        if not self._database_away:
            logger.warning("beat: waits for the database: %s", str(error).strip().partition("\n")[0])
        self._database_away = True
        connection.close()
