"""What Flower reads at its start (`--conf=config/flower.py`): a heartbeat, and a password where there is one.

The heartbeat is sent from Tornado's own loop, so that a page that hangs the loop stops it. Flower runs this
file as its configuration, and takes a name that is one of its options for a setting.
"""

import asyncio
import os
import signal
from logging import ERROR, WARNING, getLogger
from logging.config import dictConfig

from django.conf import settings
from tornado.ioloop import IOLoop, PeriodicCallback

from monitoring.store import pulse
from process.environment import Environment, gather
from process.heartbeat import INTERVAL_SECONDS

# Before Flower puts a handler there: it does so only where there is none.
dictConfig(settings.LOGGING)

env = Environment(gather(os.environ))
if password := env.str("FLOWER_PASSWORD", None):
    basic_auth = [f"admin:{password}"]
env.seal()

# A task that it remembers takes 4.5 KB; by default it remembers 100,000.
max_tasks = 10_000
# Our workers say what they do from their start (CELERY_WORKER_SEND_TASK_EVENTS): no need to ask them to every
# five seconds, for ever.
enable_events = False

# All the tasks, and an address that in a container is not the one to visit; then, for each question to the
# workers, that they have not started yet.
getLogger("flower.command").setLevel(WARNING)
getLogger("flower.inspector").setLevel(ERROR)


def end_between_callbacks() -> None:
    """Flower's own handler ends it in the middle of whatever its loop does at that moment.

    Where the loop was just starting a thread of its pool, Python does not know of that thread yet, and
    waits for it for ever.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, IOLoop.current().stop)


IOLoop.current().add_callback(end_between_callbacks)
own_pulse = pulse("flower")
heart = PeriodicCallback(own_pulse.beat, INTERVAL_SECONDS * 1000)
heart.start()
IOLoop.current().add_callback(own_pulse.beat)
