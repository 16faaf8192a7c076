"""From a payload's bytes to readings that can be stored, or to the reason why not. Pure: no Django, no I/O.

for item in decode(payload):            # Reading or Refusal
    fault = check(item, sensor, ...)    # (Code, detail) or None
"""

from monitoring.decoders.codes import MEANINGS, Code
from monitoring.decoders.json_payload import decode
from monitoring.decoders.limits import MAX_PAYLOAD_BYTES
from monitoring.decoders.reading import Reading, Refusal
from monitoring.decoders.validate import MAX_CLOCK_AHEAD, Sensor, check

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
]
