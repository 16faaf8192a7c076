"""The curves: plausible, and the same for the same moment."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from monitoring.simulator.boards import ADC_STEPS, measure, probes

JUNE = datetime(2026, 6, 21, tzinfo=UTC).timestamp()
DECEMBER = datetime(2026, 12, 21, tzinfo=UTC).timestamp()
HOUR = 3600.0


def day(board: int, start: float = JUNE) -> list[tuple[float, float, float]]:
    return [measure(board, start + minute * 60) for minute in range(24 * 60)]


def test_board_0_has_the_sensors_that_the_project_starts_with() -> None:
    assert [(p.sensor_id, p.kind, p.unit) for p in probes(0)] == [
        (1, "temperature", "°C"),
        (2, "humidity", "%"),
        (3, "light", "V"),
    ]
    assert [p.sensor_id for p in probes(9)] == [28, 29, 30]


@pytest.mark.parametrize("board", [0, 1, 7, 999])
@pytest.mark.parametrize("start", [JUNE, DECEMBER])
def test_values_are_what_a_room_may_have(board: int, start: float) -> None:
    temperatures, humidities, volts = zip(*day(board, start), strict=True)
    assert min(temperatures) > 12
    assert max(temperatures) < 30
    assert min(humidities) > 20
    assert max(humidities) < 90
    assert min(volts) >= 0
    assert max(volts) <= 3.3


def test_it_is_dark_at_night_and_warmest_in_the_afternoon() -> None:
    assert measure(0, JUNE + 2 * HOUR)[2] < 0.5 < 2 < measure(0, JUNE + 12 * HOUR)[2]
    for board in range(20):
        hours = [measure(board, JUNE + hour * HOUR)[0] for hour in range(24)]
        assert 11 <= hours.index(max(hours)) <= 21


def test_june_is_brighter_than_december() -> None:
    assert sum(row[2] for row in day(3, JUNE)) > sum(row[2] for row in day(3, DECEMBER))


def test_a_room_has_inertia_and_the_air_dries_as_it_warms() -> None:
    rows = day(0)
    assert max(abs(b[0] - a[0]) for a, b in pairwise(rows)) <= 0.3
    warm = sorted(rows)[-300:]
    cold = sorted(rows)[:300]
    assert sum(row[1] for row in warm) < sum(row[1] for row in cold)


def test_resolution_is_the_sensors_own() -> None:
    for temperature, humidity, volts in day(2):
        assert temperature == round(temperature, 1)
        assert humidity == round(humidity, 1)
        steps = volts * ADC_STEPS / 3.3
        assert abs(steps - round(steps)) < 0.63  # three decimals of 0.8 mV


def test_curves_go_on_after_a_restart_and_boards_differ() -> None:
    assert measure(4, JUNE + 0.25) == measure(4, JUNE + 0.25)
    assert measure(4, JUNE) != measure(5, JUNE)
