"""The frames of the last minute: what a viewer that comes back has missed."""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from monitoring.live.channel import Newest, News

SECONDS = 60
# All frames together: some 28 MB. More sensors at once make the ring shorter, not the memory larger.
MOST_VALUES = 1_000_000


class Frame:
    """What is new in one second. `id`: milliseconds since 1970, of the newest publication in it.

    In columns by sensor, 28 bytes a value: a ring of tuples took ten times as much.
    """

    __slots__ = ("_n", "_sensors", "_t", "_v", "changed", "id", "rejected")

    def __init__(self, id: int, news: News) -> None:
        self.id, self.changed, self.rejected = id, news.changed, news.rejected
        stored = news.stored
        ordered = sorted(stored)
        self._sensors = array("q", ordered)
        self._t = array("q", (stored[sensor_id].t for sensor_id in ordered))
        self._v = array("d", (stored[sensor_id].v for sensor_id in ordered))
        self._n = array("q", (stored[sensor_id].n for sensor_id in ordered))

    def __len__(self) -> int:
        return len(self._sensors)

    @property
    def rows(self) -> int:
        return sum(self._n)

    @property
    def sensors(self) -> Sequence[int]:
        return self._sensors

    def of(self, sensor_ids: Iterable[int]) -> Iterator[tuple[int, Newest]]:
        for sensor_id in sensor_ids:
            place = bisect_left(self._sensors, sensor_id)
            if place < len(self._sensors) and self._sensors[place] == sensor_id:
                yield sensor_id, Newest(self._t[place], self._v[place], self._n[place])


class Ring:
    """`whole_from`: milliseconds since 1970; of what was published later than that, nothing is missing.
    None while nobody can say."""

    def __init__(self, seconds: float = SECONDS, most_values: int = MOST_VALUES) -> None:
        self._frames: deque[Frame] = deque()
        self._milliseconds, self._most, self._values = int(1000 * seconds), most_values, 0
        self.whole_from: int | None = None

    def forget(self) -> None:
        """Empties the ring: something was missed, or may have been."""
        self._frames.clear()
        self._values = 0
        self.whole_from = None

    def add(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._values += len(frame)
        while self._frames and (
            self._values > self._most or self._frames[0].id < frame.id - self._milliseconds
        ):
            oldest = self._frames.popleft()
            self._values -= len(oldest)
            if self.whole_from is not None:
                self.whole_from = max(self.whole_from, oldest.id)

    def covers(self, after: int) -> bool:
        return self.whole_from is not None and self.whole_from <= after

    def since(self, after: int) -> Iterator[Frame]:
        """The frames after this instant (milliseconds since 1970), oldest first."""
        return (frame for frame in self._frames if frame.id > after)
