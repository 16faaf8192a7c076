"""The bounds of a payload and of its fields."""

MAX_PAYLOAD_BYTES = 16 * 1024
MAX_SENSOR_ID = 2**63 - 1
MAX_TYPE_CHARS = 64
MAX_UNIT_CHARS = 32
MAX_NESTING = 200
"""Levels of arrays and objects. Both decoders recurse, so without a bound of our own the answer would hang on
how deep the caller's stack happens to be."""
