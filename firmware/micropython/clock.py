"""What time it is, in whole milliseconds since 1970, from NTP."""

import time

import ntptime
from machine import RTC

# The ESP32's MicroPython counts its seconds from 2000, others from 1970.
EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0
# An answer from before 2024 or after 2099 is no time: some routers answer so while they have none themselves.
EARLIEST = 1704067200
LATEST = 4102444800
# A quartz is off by a few seconds a day at most. A step that is larger must be confirmed by a second answer.
MAX_STEP_MS = 5000


class Clock:
    """Runs on time.ticks_ms() between NTP's answers; in integers, for a float has too few digits here."""

    def __init__(self, host):
        ntptime.host = host
        self._now = None
        self._ticks = 0
        self._last = 0
        self._doubted = None

    def now(self):
        """Unix time in ms; None before NTP has answered. Call it every day at least: ticks_ms() wraps."""
        if self._now is None:
            return None
        ticks = time.ticks_ms()
        self._now += time.ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self._now

    def stamp(self):
        """The `ts` of a reading: like now(), but each is later than the one before."""
        now = self.now()
        if now is None:
            return None
        self._last = max(now, self._last + 1)
        return self._last

    def ask(self):
        """Sets the clock by NTP. Blocks for a second or so; raises OSError or ValueError.

        ntptime gives whole seconds, cut off: the clock is right to a second, and late rather than early.
        """
        asked = time.ticks_ms()
        seconds = ntptime.time() + EPOCH
        self._take(seconds, time.ticks_diff(time.ticks_ms(), asked))
        # The chip's own clock too: TLS looks there whether a certificate is still valid.
        year, month, day, hour, minute, second, weekday = time.gmtime(seconds - EPOCH)[:7]
        RTC().datetime((year, month, day, weekday, hour, minute, second, 0))

    def _take(self, seconds, took):
        """`seconds`: Unix time as NTP gives it; `took`: how long the answer was on its way, in ms."""
        if not EARLIEST <= seconds < LATEST:
            raise ValueError("NTP says that it is second %d, which cannot be" % seconds)
        now = self.now()
        # The true time lies between these two.
        low, high = seconds * 1000, seconds * 1000 + 999 + took
        if now is None:
            self._now, self._ticks = low, time.ticks_ms()
            return
        step = low - now if now < low else min(0, high - now)
        if abs(step) > MAX_STEP_MS:
            if self._doubted is None or abs(step - self._doubted) > MAX_STEP_MS:
                self._doubted = step
                raise ValueError("NTP is %d s away from this clock; asking once more" % (step // 1000))
            # Readings may now go back in time: better than to go on with a wrong one.
            self._last = 0
        self._doubted = None
        self._now += step


def text(ms):
    """'2026-01-28 15:07:55 UTC'"""
    return "%04d-%02d-%02d %02d:%02d:%02d UTC" % time.gmtime(ms // 1000 - EPOCH)[:6]
