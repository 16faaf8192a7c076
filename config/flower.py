"""What Flower reads at its start (`--conf=config/flower.py`): nothing but a heartbeat is added to it.

On Tornado's own loop, so that a page that hangs says nothing. Flower runs this file as its configuration, and
takes a name that is one of its options for a setting.
"""

from tornado.ioloop import IOLoop, PeriodicCallback

from bridge.heartbeat import INTERVAL_SECONDS
from config.pulse import Pulse

pulse = Pulse("flower")
heart = PeriodicCallback(pulse.beat, INTERVAL_SECONDS * 1000)
heart.start()
IOLoop.current().add_callback(pulse.beat)
