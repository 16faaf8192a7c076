"""The board's Wi-Fi."""

import asyncio
import time

import network

JOIN_SECONDS = 15
# ESP-IDF's reason codes (wifi_err_reason_t), most of which `network` has no name for.
REASONS = (
    ((201,), "there is no %s here: is WIFI_SSID right, is it 2.4 GHz?"),
    ((2, 15, 202, 204), "%s does not let this board in: is WIFI_PASSWORD right?"),
    ((210, 211), "%s has another security than expected: is WIFI_PASSWORD set, is it WPA2?"),
    ((200, 212), "%s is too weak: move the board closer to the access point"),
)


class WifiError(Exception):
    """The board is in no network; the text says where to look."""


class Wifi:
    def __init__(self, ssid, password):
        self.ssid, self.password = ssid, password
        self._wlan = network.WLAN(network.STA_IF)

    def joined(self):
        return self._wlan.isconnected()

    async def join(self):
        """Raises WifiError after some seconds."""
        if self.joined():
            return
        print("Wi-Fi: joining", self.ssid)
        self._wlan.active(True)
        try:
            self._wlan.disconnect()  # the chip refuses to begin anew while it is still trying
        except OSError:
            pass
        try:
            # Twice, and then it says why not; while it tries for ever, it says nothing else.
            self._wlan.config(reconnects=1)
            self._wlan.connect(self.ssid, self.password)
        except OSError as error:
            raise WifiError("the chip refuses: %s" % error)
        began = time.ticks_ms()
        while not self.joined():
            if time.ticks_diff(time.ticks_ms(), began) > JOIN_SECONDS * 1000:
                raise WifiError(self._trouble())
            await asyncio.sleep_ms(100)
        print("Wi-Fi: joined, this board is", self._wlan.ifconfig()[0])

    def _trouble(self):
        status = self._wlan.status()
        if status in (network.STAT_IDLE, network.STAT_CONNECTING):
            text = "no answer from %s in %d s (status %d): does it give out addresses (DHCP)?"
            return text % (self.ssid, JOIN_SECONDS, status)
        for numbers, text in REASONS:
            if status in numbers:
                return text % self.ssid
        text = "not in %s after %d s (status %d, ESP-IDF's Wi-Fi reason code)"
        return text % (self.ssid, JOIN_SECONDS, status)
