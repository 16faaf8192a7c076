"""What a board says of itself: `online`, and its last will `offline`. Pure: no Django, no I/O."""

from typing import NamedTuple

from monitoring.decoders.codes import Code
from monitoring.decoders.limits import MAX_PAYLOAD_BYTES
from monitoring.decoders.reading import Refusal, storable

MAX_NAME_CHARS = 100
_SAID = {b"online": True, b"offline": False}


class BoardStatus(NamedTuple):
    """`name`: the last level of the topic."""

    name: str
    online: bool


def decode(topic: str, payload: bytes, length: int | None) -> BoardStatus | Refusal:
    """`length`: of a payload that was cut. Raises nothing."""
    if length is not None:
        detail = f"{length} bytes; at most {MAX_PAYLOAD_BYTES} are taken"
        return Refusal(Code.TOO_LARGE, detail, payload, None)
    online = _SAID.get(payload.strip())
    if online is None:
        shown = payload[:80].decode(errors="replace")
        return _refused(f'a board says "online" or "offline" here, and not "{shown}"', payload)
    name = topic.rpartition("/")[2]
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
        return _refused(f"a board's name is 1 to {MAX_NAME_CHARS} printable characters", payload)
    return BoardStatus(name, online)


def _refused(detail: str, payload: bytes) -> Refusal:
    return Refusal(Code.BAD_STATUS, storable(detail), payload, None)
