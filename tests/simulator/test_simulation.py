"""The schedule of the simulated boards, by a clock that the test turns: a stall here does not fail it."""

import pytest

from monitoring.simulator import simulation
from monitoring.simulator.faults import Messages
from monitoring.simulator.simulation import Simulation, Sums


class Clock:
    """Stands in for the module `time`; and for the sender, which is where a simulation spends its time."""

    ready = True
    outstanding = refused = resent = reconnections = 0

    def __init__(self, stalls: dict[int, float]) -> None:
        self.now = 1_000.0
        self.published = 0
        self._stalls = stalls
        """After how many messages it stalls, and for how many seconds."""

    @property
    def acknowledged(self) -> int:
        return self.published

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + 1_700_000_000

    def has_room(self, board: int) -> bool:
        return True

    def publish(self, board: int, payload: bytes) -> bool:
        self.published += 1
        self.now += self._stalls.pop(self.published, 0.0)
        return True

    def work(self, seconds: float) -> None:
        self.now += seconds

    def close(self) -> None:
        pass


def run(monkeypatch: pytest.MonkeyPatch, seconds: float, stalls: dict[int, float]) -> Sums:
    """100 readings a second of three sensors each."""
    clock = Clock(stalls)
    monkeypatch.setattr(simulation, "time", clock)
    simulated = Simulation(clock, Messages(), boards=2, rate=50, duration=seconds)  # type: ignore[arg-type]
    return simulated.run()


@pytest.mark.parametrize("stalls", [{}, {30: 0.2, 120: 0.4}], ids=["none", "two"])
def test_a_stall_is_caught_up_with(monkeypatch, stalls):
    sums = run(monkeypatch, 1, stalls)
    assert 297 <= sums.messages <= 303
    assert not sums.fell_behind


def test_what_a_long_stall_kept_back_is_not_sent_in_a_burst(monkeypatch):
    sums = run(monkeypatch, 3, {30: 1.5})
    assert sums.fell_behind
    assert 430 <= sums.messages <= 470
