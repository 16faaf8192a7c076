"""The part of ESP32's `machine` that the firmware uses."""

import world


def unique_id():
    return b"\x24\x0a\xc4\x00\x01\x10"


class Pin:
    OUT = 3

    def __init__(self, number, mode=-1):
        assert number in range(40)
        self.number = number

    def value(self, level):
        assert level in (0, 1)


class ADC:
    ATTN_11DB = 3

    def __init__(self, pin, atten=0):
        assert pin.number in range(32, 40)
        assert atten == self.ATTN_11DB
        self._count = 0

    def read_u16(self):
        self._count += 1
        # 12 bits, as the chip spreads them.
        raw = self._count * 7 % 4096
        return world.of("u16", raw << 4 | raw >> 8)

    def read_uv(self):
        return world.of("uv", 1234567)


class RTC:
    def datetime(self, moment):
        # year, month, day, weekday, hour, minute, second, microsecond
        assert len(moment) == 8
        assert moment[0] >= 2024
        assert 0 <= moment[3] <= 6
