"""What an ESP32 with a DHT22 and an LDR measures, as a function of the time of day and the year.

Every value follows from the board's number and the time alone, so curves go on where they were after a
restart, and a reading that comes late has the value that it had in its time.
"""

import math
from dataclasses import dataclass

LATITUDE = math.radians(46)
DAY = 86400.0
HOUR = 3600.0
SENSORS_A_BOARD = 3

ADC_STEPS = 4095
ADC_VOLTS = 3.3


@dataclass(frozen=True, slots=True)
class Probe:
    """One of a board's sensors, as messages name it."""

    sensor_id: int
    kind: str
    unit: str


def probes(board: int) -> tuple[Probe, Probe, Probe]:
    """Board 0 has the sensors 1, 2 and 3, which `make run` makes; board 1 has 4, 5 and 6, and so on."""
    first = board * SENSORS_A_BOARD + 1
    return (
        Probe(first, "temperature", "°C"),
        Probe(first + 1, "humidity", "%"),
        Probe(first + 2, "light", "V"),
    )


def measure(board: int, at: float) -> tuple[float, float, float]:
    """Temperature (°C), relative humidity (%) and the LDR's voltage at `at` (Unix seconds), as reported."""
    temperature = _temperature(board, at)
    return (
        round(temperature + 0.05 * _jitter(board, 1, at), 1),
        round(_humidity(board, at, temperature) + 0.1 * _jitter(board, 2, at), 1),
        _volts(_lux(board, at) * (1 + 0.01 * _jitter(board, 3, at))),
    )


def _temperature(board: int, at: float) -> float:
    """A room: the warmest three hours after noon, for walls are slow."""
    own = 1.5 * _hash(board, 10, 0)
    day = 2.2 * math.sin(2 * math.pi * (at / DAY - 9 / 24))
    weather = 1.2 * _drift(board, 11, at, 9 * HOUR)
    people = 0.4 * _drift(board, 12, at, 25 * 60)
    return 20.5 + own + day + weather + people


def _humidity(board: int, at: float, temperature: float) -> float:
    """The water in the air changes slowly; the relative humidity falls as the air warms (Magnus)."""
    dew_point = 9.5 + 2.0 * _drift(board, 20, at, 7 * HOUR) + 0.4 * _drift(board, 21, at, 20 * 60)
    return min(99.9, max(5.0, 100 * _saturation(dew_point) / _saturation(temperature)))


def _saturation(celsius: float) -> float:
    return math.exp(17.62 * celsius / (243.12 + celsius))


def _lux(board: int, at: float) -> float:
    """Daylight through a window, clouds before it, and a lamp in the evening."""
    clouds = 0.6 + 0.4 * _drift(board, 30, at, 12 * 60)
    daylight = 900 * max(0.0, _sun(at)) * clouds
    hour = at % DAY / HOUR
    off = 22.5 + 0.7 * _hash(board, 31, int(at // DAY))
    lamp = 140.0 if 17.5 <= hour < off and daylight < 150 else 0.0
    return 0.3 + daylight + lamp


def _sun(at: float) -> float:
    """The sine of the sun's elevation; days are longer in June."""
    declination = -0.409 * math.cos(2 * math.pi * (at / DAY + 10) / 365.2425)
    hour_angle = 2 * math.pi * (at % DAY / DAY - 0.5)
    return math.sin(LATITUDE) * math.sin(declination) + math.cos(LATITUDE) * math.cos(declination) * math.cos(
        hour_angle
    )


def _volts(lux: float) -> float:
    """An LDR (50 kΩ at 10 lux, gamma 0.7) above 10 kΩ, read by an ADC of 12 bits."""
    ldr = 50_000 * math.pow(max(lux, 0.01) / 10, -0.7)
    steps = round(ADC_STEPS * 10_000 / (10_000 + ldr))
    return round(steps * ADC_VOLTS / ADC_STEPS, 3)


def _drift(board: int, what: int, at: float, seconds: float) -> float:
    """Noise with inertia: a smooth curve through random points `seconds` apart, between -1 and 1."""
    step, along = divmod(at, seconds)
    along /= seconds
    before, after = _hash(board, what, int(step)), _hash(board, what, int(step) + 1)
    return before + (after - before) * along * along * (3 - 2 * along)


def _jitter(board: int, what: int, at: float) -> float:
    """Noise without memory, between -1 and 1."""
    return _hash(board, what, int(at * 1e6))


def _hash(board: int, what: int, step: int) -> float:
    """A number between -1 and 1 that always comes of the same three (splitmix64's mixing)."""
    x = (
        board * 0x9E3779B97F4A7C15 + what * 0xD1B54A32D192ED03 + step * 0x8CB92BA72F3D8DD7
    ) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return ((x ^ (x >> 31)) >> 11) / 2**52 - 1
