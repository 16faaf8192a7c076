"""From a payload's bytes to readings that can be stored, or to the reason why not. Pure: no Django, no I/O.

for item in for_topic(topic)(payload):            # Reading or Refusal
    fault = check(item, sensor, ...)    # (Code, detail) or None
"""

from collections.abc import Callable

from monitoring.decoders.codes import MEANINGS, Code
from monitoring.decoders.json.fast import decode
from monitoring.decoders.limits import MAX_PAYLOAD_BYTES
from monitoring.decoders.reading import Reading, Refusal
from monitoring.decoders.validate import MAX_CLOCK_AHEAD, Sensor, check

Decode = Callable[[bytes, int | None], list[Reading | Refusal]]


def for_topic(topic: str) -> Decode:
    """What decodes the payloads of a topic: JSON, whatever it is. Another format is a folder beside json/."""
    return decode


__all__ = [
    "MAX_CLOCK_AHEAD",
    "MAX_PAYLOAD_BYTES",
    "MEANINGS",
    "Code",
    "Reading",
    "Refusal",
    "Sensor",
    "check",
    "decode",
    "for_topic",
]
