"""A worker without Redis can still be stopped: the events for Flower do not hold up its main loop."""

from pathlib import Path

import pytest

from config.celery import app
from runner.services import Redis


@pytest.mark.timeout(60)
def test_an_event_does_not_wait_for_a_redis_that_is_away(tmp_path: Path) -> None:
    redis = Redis(tmp_path).start()
    try:
        with app.connection_for_write(redis.url) as connection:
            events = app.events.Dispatcher(connection)
            # As celery.worker.heartbeat.Heart sends it.
            events.send("worker-heartbeat", retry=True)
            assert not events._outbound_buffer
            redis.kill()
            events.send("worker-heartbeat", retry=True)
            assert len(events._outbound_buffer) == 1, "it is kept for the next connection"
            events.close()
    finally:
        redis.stop()
