"""What has been measured and not yet been acknowledged by the broker."""

import struct

# Unix time in ms (0: unknown), the value in thousandths, which sensor.
ENTRY = "<QiB"
ENTRY_BYTES = struct.calcsize(ENTRY)


class Outbox:
    """A ring of fixed size: memory neither grows nor falls to pieces, however long the broker is away.

    A reading has a number, counted from 0 since the start. Those from `first` up to, and not including,
    `next` are in it. `dropped` counts those that had to make room.
    """

    def __init__(self, capacity):
        self.capacity = capacity
        self.first = 0
        self.next = 0
        self.dropped = 0
        self._ring = bytearray(capacity * ENTRY_BYTES)

    def __len__(self):
        return self.next - self.first

    def put(self, sensor, thousandths, ms):
        """`sensor`: 0 to 255; `ms`: Unix time in ms, or None. The oldest goes if there is no room."""
        if len(self) == self.capacity:
            self.first += 1
            self.dropped += 1
        struct.pack_into(ENTRY, self._ring, self._place(self.next), ms or 0, thousandths, sensor)
        self.next += 1

    def get(self, number):
        """(sensor, thousandths, ms or None)"""
        ms, thousandths, sensor = struct.unpack_from(ENTRY, self._ring, self._place(number))
        return sensor, thousandths, ms or None

    def acknowledged(self, number):
        """The broker has this one and all before it."""
        self.first = max(self.first, number + 1)

    def forget_untimed(self):
        """Lets go of readings without a time, and returns how many. They are always the oldest.

        The backend knows a reading that comes twice by its time; without one it may be stored twice.
        """
        forgotten = 0
        while len(self) and self.get(self.first)[2] is None:
            self.first += 1
            forgotten += 1
        return forgotten

    def _place(self, number):
        return number % self.capacity * ENTRY_BYTES


def digits(thousandths, decimals):
    """A number with one to three decimals, made of integers: the ESP32's floats have seven digits in all.

    >>> digits(-500, 1)
    '-0.5'
    """
    sign = "-" if thousandths < 0 else ""
    whole, part = divmod(abs(thousandths), 1000)
    return "%s%d.%s" % (sign, whole, ("%03d" % part)[:decimals])


def payload(sensor_id, kind, unit, number, ms):
    """One reading as the project's README describes it, in bytes. `number` is its value's digits."""
    ts = ', "ts": %s' % digits(ms, 3) if ms is not None else ""
    text = '{"sensor_id": %d, "type": "%s", "value": %s, "unit": "%s"%s}'
    return (text % (sensor_id, kind, number, unit, ts)).encode()
