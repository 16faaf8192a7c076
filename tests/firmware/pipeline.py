"""What of a board's readings the real pipeline has, and a broker's restart that loses nothing by itself."""

import itertools
import json
import time
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

from tests.firmware.board import Board, Reading
from tests.firmware.wire import Wire
from tests.journey.system import Device, System, wait_for


def stored(system: System, since: Decimal) -> Counter[Reading]:
    """The measurements of sensors 1 to 3 from `since` (Unix seconds) on, as the API gives them: one page."""
    found = Counter[Reading]()
    for sensor in (1, 2, 3):
        for one in system.api(f"sensors/{sensor}/measurements/?from={since}&limit=1000"):
            ts = seconds(datetime.fromisoformat(one["created_at"]))
            found[Reading(sensor, ts, Decimal(str(one["value"])))] += 1
    return found


def seconds(moment: datetime) -> Decimal:
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return Decimal(elapsed.days * 86400 + elapsed.seconds) + Decimal(elapsed.microseconds) / 1_000_000


def arrived(system: System, wire: Wire, since: Decimal) -> bool:
    """Whether all that the wire let pass is in the API."""
    passed = [json.loads(payload, parse_float=Decimal) for payload in wire.published]
    wanted = {Reading(one["sensor_id"], one["ts"], Decimal(one["value"])) for one in passed if "ts" in one}
    return wanted <= set(stored(system, since))


def restart_broker(system: System, board: Board, wire: Wire, since: Decimal, number: int) -> None:
    """Kills the broker while `board` measures, and starts it again.

    At the moment of the kill there are messages that the broker has, whose acknowledgement the board never
    got, and messages that the board has and the broker never got. What the broker has acknowledged and not
    handed on would be the broker's own loss (the embedded one keeps its queue in memory); so it is let finish
    first, and the board comes back only after the bridge.
    """
    swallowed = wire.swallowed
    wire.swallowing.set()
    wait_for(lambda: wire.swallowed > swallowed, "an acknowledgement to lose")
    wire.hold()
    wait_for(lambda: arrived(system, wire, since), "what the broker has in the API")
    before = len(board.measured())
    system.broker.kill()
    wire.cut()
    wait_for(lambda: len(board.measured()) >= before + 6, "readings while the broker is away")
    system.broker.start()
    wait_for_bridge(system, number)
    wire.mend()


def wait_for_bridge(system: System, number: int) -> None:
    """Until the bridge has subscribed again: a broker drops what nobody subscribes to."""
    start = int(time.time()) - 200_000 + 10_000 * number
    tries = itertools.count(start)
    device = Device(system.broker.url)

    def comes_through() -> bool:
        device.publish(json.dumps({"sensor_id": 1, "value": 0, "ts": next(tries)}))
        return bool(system.api(f"sensors/1/measurements/?from={start}&to={start + 10_000}"))

    try:
        wait_for(comes_through, "the bridge on the new broker")
    finally:
        device.close()
