"""The board's Wi-Fi."""

import asyncio
import time

import network

JOIN_SECONDS = 15


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
        if status == network.STAT_NO_AP_FOUND:
            return "there is no %s here: is WIFI_SSID right, is it 2.4 GHz?" % self.ssid
        if status == network.STAT_WRONG_PASSWORD:
            return "%s does not let this board in: is WIFI_PASSWORD right?" % self.ssid
        return "not in %s after %d s (status %s)" % (self.ssid, JOIN_SECONDS, status)
