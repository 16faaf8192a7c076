"""ESP32's `dht`: its sensor, and its two ways to fail."""

import world

ETIMEDOUT = 116


class DHT22:
    def __init__(self, pin):
        self._count = 0

    def measure(self):
        self._count += 1
        state = world.of("dht", "ok")
        if state == "timeout":
            raise OSError(ETIMEDOUT)
        if state == "checksum":
            raise Exception("checksum error")

    def temperature(self):
        return world.of("temperature", self._count % 900 * 0.1 - 10)

    def humidity(self):
        return world.of("humidity", self._count % 1000 * 0.1)
