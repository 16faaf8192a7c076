"""A worker's events for Flower, where Redis does not answer: kept, while the worker goes on.

Celery retries its worker's event every two seconds, for ever, and in the main loop. A worker that finds a
broken connection there first hears no signal any more: `docker compose stop`, or a new Redis container,
waits for the whole of its grace period. Here the event is kept and goes out with the next connection.
"""

from typing import Any

from celery.app.events import Events as CeleryEvents
from celery.events.dispatcher import EventDispatcher


class Dispatcher(EventDispatcher):
    def send(self, type: str, **fields: Any) -> Any:  # type: ignore[override]  # as celery calls it
        return super().send(type, **fields | {"retry": False})


class Events(CeleryEvents):
    dispatcher_cls = "config.events:Dispatcher"
