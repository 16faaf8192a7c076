"""The part of ESP32's `network` that the firmware uses."""

import world

STA_IF = 0
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202


class WLAN:
    def __init__(self, interface):
        assert interface == STA_IF
        self._active = self._joining = False
        self._reconnects = -1

    def active(self, on=None):
        if on is not None:
            self._active = on
        return self._active

    def config(self, *, reconnects):
        assert self._active
        self._reconnects = reconnects

    def connect(self, ssid, key=None):
        if not self._active or self._joining:
            raise OSError("Wifi Internal Error")
        assert isinstance(ssid, str)
        assert isinstance(key, str)
        self._joining = True

    def disconnect(self):
        if not self._active:
            raise OSError("Wifi Not Started")
        self._joining = False

    def isconnected(self):
        # Once told to, the chip joins, and joins again, by itself.
        return self._joining and world.of("wifi", True)

    def status(self):
        if self.isconnected():
            return STAT_GOT_IP
        # As long as the chip goes on trying, which it does for ever unless told otherwise, it says no more.
        if self._joining and self._reconnects == -1:
            return STAT_CONNECTING
        return world.of("wifi_status", STAT_NO_AP_FOUND)

    def ifconfig(self):
        return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")
