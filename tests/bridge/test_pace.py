"""When a batch leaves, at every rate: on a clock of the test's own."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.pace import (
    FLOOD,
    FLOOD_SECONDS,
    FLUSH_BYTES,
    FLUSH_MESSAGES,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    SMALLEST_WINDOW,
    STEADY_SECONDS,
    TRICKLE,
    Pace,
)

WINDOW = 4000


class Run:
    """The bridge's loop without its sockets: messages come as they come, batches leave when they are due."""

    def __init__(self, size: int = 60, broker_window: int = WINDOW) -> None:
        self.now = 1_000.0
        self.pace = Pace(lambda: self.now)
        self.size, self.broker_window = size, broker_window
        self.open: list[float] = []
        self.batches: list[tuple[float, int]] = []
        self.waited: list[float] = []

    @property
    def has_room(self) -> bool:
        """Whether the broker sends another before it has an acknowledgement."""
        return len(self.open) < self.broker_window

    def message(self) -> None:
        self.pace.arrived()
        self.open.append(self.now)
        waiting = len(self.open)
        if self.pace.is_full(waiting, waiting * self.size, waiting, WINDOW):
            self._flush(full=True)

    def until(self, moment: float) -> None:
        while self.open and (due := self.now + self.pace.until_due(len(self.open))) <= moment:
            self.now = max(due, self.now + 1e-6) if due > self.now else self.now
            if not self.pace.until_due(len(self.open)):
                self._flush(full=False)
        self.now = max(self.now, moment)

    def _flush(self, full: bool) -> None:
        self.pace.flushed(len(self.open), len(self.open), full)
        self.batches.append((self.now, len(self.open)))
        self.waited += [self.now - came for came in self.open]
        self.open.clear()

    def at_a_rate(self, rate: float, seconds: float) -> "Run":
        began = self.now
        for number in range(int(rate * seconds)):
            self.until(began + number / rate)
            self.message()
        self.until(self.now + 1)
        return self


@given(gap=st.floats(min_value=LONGEST_SECONDS, max_value=3600))
def test_a_lone_message_leaves_at_once(gap: float) -> None:
    run = Run()
    for _ in range(5):
        run.message()
        run.until(run.now + gap)
    assert run.waited == [0.0] * 5


@given(rate=st.floats(min_value=900, max_value=0.9 * FLOOD))
def test_a_steady_stream_does_not_wait_for_a_full_batch(rate: float) -> None:
    run = Run().at_a_rate(rate, 2)
    warm = run.waited[int(rate) :]
    assert max(warm) <= SHORTEST_SECONDS + STEADY_SECONDS


@given(rate=st.floats(min_value=5, max_value=0.9 * TRICKLE))
@example(41.9)  # ten came, and none for so long that the broker may be waiting: a little more often
@example(50.0)  # the next message comes just when the bridge stops waiting for it
@example(50.00000000000001)
def test_a_trickle_leaves_four_times_a_second(rate: float) -> None:
    run = Run().at_a_rate(rate, 10)
    begin = run.batches[0][0] + 1  # by then the interval has grown
    may_wait = 1 / rate >= SHORTEST_SECONDS - 1e-9  # which is what is left of it after a thousand seconds
    most = max(4, rate / SMALLEST_WINDOW) if may_wait else 4
    assert len([when for when, _ in run.batches if begin <= when < begin + 8]) <= 8 * most + 1
    assert max(run.waited) <= LONGEST_SECONDS + 1e-5
    assert sum(count for _, count in run.batches) == int(rate * 10)


@given(st.lists(st.floats(min_value=0, max_value=0.6), min_size=1, max_size=200))
def test_whatever_comes_when_leaves_in_time_and_never_twice_in_a_moment(gaps: list[float]) -> None:
    run = Run()
    for gap in gaps:
        run.message()
        run.until(run.now + gap)
    run.until(run.now + 1)
    assert len(run.waited) == len(gaps)
    assert max(run.waited) <= LONGEST_SECONDS + 1e-5
    assert all(
        later - earlier >= SHORTEST_SECONDS - 1e-5 for (earlier, _), (later, _) in pairwise(run.batches)
    )


@pytest.mark.parametrize(("rate", "size"), [(60_000, 60), (200_000, 60), (5_000, 6_000)])
def test_a_flood_leaves_by_its_size_and_its_end_at_once(rate: int, size: int) -> None:
    run = Run(size).at_a_rate(rate, 3)
    by_size = [count for _, count in run.batches if count >= min(FLUSH_MESSAGES, FLUSH_BYTES // size)]
    assert sum(by_size) > 0.9 * rate * 3
    assert run.waited[-1] <= FLOOD_SECONDS + 1e-5


@pytest.mark.parametrize(
    ("rate", "size", "is_flood"),
    [
        (0.9 * FLOOD, 60, False),
        (1.1 * FLOOD, 60, True),
        (200_000, 60, True),
        (1.1 * FLOOD, FLUSH_BYTES // 1000, True),
        # By its bytes a batch is full of a few of them: messages that are long come one in a read anyway.
        (1.1 * FLOOD, FLUSH_BYTES // 500, False),
    ],
)
def test_in_a_flood_messages_gather_before_they_are_read(rate: float, size: int, is_flood: bool) -> None:
    run = Run(size)
    assert run.pace.between_reads == 0
    for _ in range(int(rate / 2)):
        run.now += 1 / rate
        run.message()
    assert (run.pace.between_reads > 0) is is_flood
    run.pace.nothing_came()
    assert run.pace.between_reads == 0


@pytest.mark.parametrize("broker_window", [10, 100, 900])
def test_what_a_broker_sends_at_once_and_then_waits_is_read_at_once(broker_window: int) -> None:
    """Full by what may be in flight, a batch says nothing of a flood."""
    pace, now = Pace(lambda: now), 1_000.0
    for _ in range(50):
        now += broker_window / (2 * FLOOD)
        pace.flushed(broker_window, broker_window, full=True)
        assert pace.between_reads == 0


@pytest.mark.parametrize("broker_window", [10, 20, 32])
def test_a_broker_that_waits_for_us_does_not_wait_long(broker_window: int) -> None:
    """Some send fewer messages than they may before they want an acknowledgement."""
    run = Run(broker_window=broker_window)
    began = run.now
    for _ in range(100):
        while run.has_room:
            run.message()
        run.until(run.now + SHORTEST_SECONDS)
    assert sum(count for _, count in run.batches) == 100 * broker_window
    assert run.now - began <= 100 * SHORTEST_SECONDS + 1e-5


def test_of_a_new_connection_nothing_is_known() -> None:
    """The next broker may have a smaller window than the last."""
    run = Run(broker_window=500)
    while run.has_room:
        run.message()
    run.until(run.now + 1)
    run.pace.new_connection()
    run.broker_window = 20
    run.message()
    run.until(run.now + 0.001)
    while run.has_room:
        run.message()
    run.until(run.now + SHORTEST_SECONDS)
    assert not run.open
