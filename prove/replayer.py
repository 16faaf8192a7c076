"""Somebody who switches sensors off and on, and has what was rejected meanwhile replayed: `--replay`."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.db import Error, connection

# How long sensors are on, and off.
PERIOD_SECONDS = 5.0
PATIENCE_SECONDS = 300


class Replayer(threading.Thread):
    """Set Django up before. The system's own worker of upkeep works at the jobs, and may be killed."""

    def __init__(self, sensors: Sequence[int]) -> None:
        super().__init__(name="replayer", daemon=True)
        self._sensors = list(sensors)
        self._end = threading.Event()

    def run(self) -> None:
        is_active = True
        while not self._end.wait(PERIOD_SECONDS):
            is_active = not is_active
            self._persist(partial(self._switch, is_active))
        self._persist(partial(self._switch, True))

    def end(self) -> None:
        """They are on from now on."""
        self._end.set()
        self.join()

    def finish(self) -> int:
        """Once nothing comes any more: has the last of it replayed, and returns how many jobs there were."""
        from monitoring.models import Job

        self._persist(self._request)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._persist(lambda: Job.objects.open().exists()):
            if time.monotonic() > deadline:
                raise SystemExit(f"jobs that replay are still open after {PATIENCE_SECONDS} s")
            time.sleep(0.2)
        return int(self._persist(Job.objects.count))

    def _switch(self, is_active: bool) -> None:
        from monitoring.models import Sensor

        Sensor.objects.filter(pk__in=self._sensors).update(is_active=is_active)
        if is_active:
            self._request()

    def _request(self) -> None:
        from monitoring.models import Job
        from monitoring.rejected import jobs
        from monitoring.rejected.selection import Selection

        jobs.request(Job.Kind.REPLAY, Selection(code="inactive_sensor"), None)

    def _persist(self, ask: Callable[[], Any]) -> Any:
        """What is asked of a database that is killed now and then."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return ask()
            except Error:
                connection.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
