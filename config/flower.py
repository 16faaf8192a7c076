"""What Flower reads at its start (`--conf=config/flower.py`): a heartbeat, and a password where there is one.

On Tornado's own loop, so that a page that hangs says nothing. Flower runs this file as its configuration, and
takes a name that is one of its options for a setting.
"""

from tornado.ioloop import IOLoop, PeriodicCallback

from bridge.heartbeat import INTERVAL_SECONDS
from config.environment import read_environment
from config.pulse import Pulse

if password := read_environment().str("FLOWER_PASSWORD", None):
    basic_auth = [f"admin:{password}"]

pulse = Pulse("flower")
heart = PeriodicCallback(pulse.beat, INTERVAL_SECONDS * 1000)
heart.start()
IOLoop.current().add_callback(pulse.beat)
