"""MicroPython's `ntptime`: whole seconds, cut off, since this machine's epoch."""

import time as machine_time

import world

host = "pool.ntp.org"


def time():
    ntp = world.of("ntp")
    if ntp is None:
        raise OSError(116)
    if ntp == "true":
        return int(machine_time.time())
    if isinstance(ntp, dict):
        return int(machine_time.time()) + ntp["off"]
    return ntp
