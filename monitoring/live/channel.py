"""What a worker publishes and a web process takes in: the newest of each sensor, and what was refused."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgpack


def channel(client: Any) -> str:
    """`client`: a redis.Redis, or an asyncio one. Publishing knows no databases: what is sent in one is heard
    in all, and another installation may have another database of the same Redis."""
    return f"iot:live:{client.connection_pool.connection_kwargs.get('db') or 0}"


class Newest(NamedTuple):
    """Of one sensor: `t` in microseconds since 1970; `n` rows were stored, of which this is the newest."""

    t: int
    v: float
    n: int


@dataclass(slots=True)
class News:
    """`stored` by sensor, `rejected` by reason code, `changed`: the new status by sensor."""

    stored: dict[int, Newest] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    changed: dict[int, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.stored or self.rejected or self.changed)

    def add(self, later: "News") -> None:
        """Takes in what came after. `later` is not used again."""
        if not self.stored:
            self.stored = later.stored
        else:
            stored = self.stored
            for sensor_id, newest in later.stored.items():
                before = stored.get(sensor_id)
                stored[sensor_id] = newest if before is None else _newer(before, newest)
        for code, count in later.rejected.items():
            self.rejected[code] = self.rejected.get(code, 0) + count
        self.changed |= later.changed

    def pack(self) -> bytes:
        sensors = list(self.stored)
        columns = list(zip(*self.stored.values(), strict=True)) or [(), (), ()]
        packed: bytes = msgpack.packb([sensors, *columns, self.rejected, self.changed])
        return packed

    @classmethod
    def unpack(cls, data: bytes) -> "News":
        """Raises ValueError where it is none: somebody else has published, or another version of ours."""
        try:
            sensors, t, v, n, rejected, changed = msgpack.unpackb(data, strict_map_key=False)
            stored = dict(zip(sensors, map(Newest._make, zip(t, v, n, strict=True)), strict=True))
            return cls(stored, dict(rejected), dict(changed))
        except (TypeError, ValueError, msgpack.UnpackException) as error:
            raise ValueError(f"not news: {error}") from None


def _newer(before: Newest, after: Newest) -> Newest:
    """Of both the newer, with the rows of both."""
    newest = after if after[0] >= before[0] else before
    return tuple.__new__(Newest, (newest[0], newest[1], before[2] + after[2]))
