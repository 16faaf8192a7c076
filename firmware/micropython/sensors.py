"""The DHT22 and the LDR. Values are in thousandths, as integers."""

import dht
from machine import ADC, Pin

SAMPLES = 8
# A DHT22 that is asked again sooner says what it said before, or nothing.
REST_MS = 2000


def pause(late, interval):
    """How long to wait after a reading that came `late`; all in ms. Back to the beat, but never too soon."""
    return max(interval - late % interval, min(interval, REST_MS))


class Dht22:
    def __init__(self, pin):
        self._sensor = dht.DHT22(Pin(pin))

    def read(self):
        """(temperature in thousandths of °C, relative humidity in thousandths of %).

        Raises OSError or ValueError, which say what is wrong; then there is nothing to send.
        """
        try:
            self._sensor.measure()
        except OSError:
            raise OSError("the DHT22 does not answer: is SDA on the right pin, is it powered?")
        except Exception as error:  # the driver's "checksum error" has no class of its own
            raise OSError("the DHT22 was misunderstood (%s): is the wire too long?" % error)
        # It measures in tenths; what the driver makes of them is a float.
        temperature = round(self._sensor.temperature() * 10)
        humidity = round(self._sensor.humidity() * 10)
        if not (-400 <= temperature <= 800 and 0 <= humidity <= 1000):
            text = "the DHT22 says %.1f °C and %.1f %%, which it cannot measure"
            raise ValueError(text % (temperature / 10, humidity / 10))
        if temperature == humidity == 0:  # a wire that is held at 0 V reads so, with a checksum that is right
            raise ValueError("the DHT22 says 0 °C and 0 %: is its wire held at 0 V?")
        return temperature * 100, humidity * 100


class Ldr:
    """`calibrated`: a real ESP32's ADC is bent, most of all below 0.15 V and above 2.5 V, and the chip
    carries a correction from the factory. Wokwi's is straight from 0 to 3.3 V; corrected, it would be bent.
    """

    def __init__(self, pin, calibrated):
        # 11 dB of attenuation: the widest range there is.
        self._adc = ADC(Pin(pin), atten=ADC.ATTN_11DB)
        self._calibrated = calibrated

    def read(self):
        """The voltage in mV: the mean of a few samples, for the ESP32's input is noisy."""
        total = 0
        for _ in range(SAMPLES):
            # read_u16() spreads the chip's 12 bits over 16: 0 is 0 V and 65535 is 3.3 V.
            total += self._adc.read_uv() if self._calibrated else self._adc.read_u16()
        if self._calibrated:
            return round(total / SAMPLES / 1000)
        return (total * 3300 + 65535 * SAMPLES // 2) // (65535 * SAMPLES)
