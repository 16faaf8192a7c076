"""Why a message, or one reading of it, was not stored."""

from enum import StrEnum


def _(sentence: str) -> str:
    """Marks it for translation. Whoever shows it translates it: this package knows no Django."""
    return sentence


class Code(StrEnum):
    """A reason code. Once published it keeps its meaning; new reasons get new codes."""

    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    EMPTY = "empty"
    MISSING_FIELD = "missing_field"
    BAD_TYPE = "bad_type"
    NOT_FINITE = "not_finite"
    BAD_TS = "bad_ts"
    CLOCK_AHEAD = "clock_ahead"
    TOO_OLD = "too_old"
    RETAINED = "retained"
    UNKNOWN_SENSOR = "unknown_sensor"
    INACTIVE_SENSOR = "inactive_sensor"
    TYPE_MISMATCH = "type_mismatch"
    UNIT_MISMATCH = "unit_mismatch"
    CONFLICT = "conflict"
    BAD_STATUS = "bad_status"
    FAILED = "failed"
    CRASHED_WORKER = "crashed_worker"


MEANINGS: dict[Code, str] = {
    Code.TOO_LARGE: _("The payload is over 16 KiB; only its beginning was kept."),
    Code.NOT_UTF8: _("The payload is not UTF-8 text."),
    Code.NOT_JSON: _("The payload is not JSON."),
    Code.NOT_AN_OBJECT: _("A reading is a JSON object; this is something else."),
    Code.EMPTY: _("The payload holds no reading."),
    Code.MISSING_FIELD: _("sensor_id or value is missing."),
    Code.BAD_TYPE: _("A field holds something that it cannot hold, such as text where a number belongs."),
    Code.NOT_FINITE: _("value is NaN, infinite, or beyond what a 64-bit float holds."),
    Code.BAD_TS: _("ts is neither Unix seconds nor an RFC 3339 time with an offset."),
    Code.CLOCK_AHEAD: _("ts lies more than 5 minutes after the message was received."),
    Code.TOO_OLD: _("The reading is older than what is kept."),
    Code.RETAINED: _("The broker's retained copy, without a ts: not a new reading."),
    Code.UNKNOWN_SENSOR: _("No sensor has this id. Register it, then replay the message."),
    Code.INACTIVE_SENSOR: _("The sensor is switched off. Switch it on, then replay the message."),
    Code.TYPE_MISMATCH: _("type is not the sensor's kind."),
    Code.UNIT_MISMATCH: _("unit is not the sensor's unit."),
    Code.CONFLICT: _("Another value is stored already for this sensor at this ts."),
    Code.BAD_STATUS: _("On a board's status topic something else stands than online or offline."),
    Code.FAILED: _("Storing it raised an error; the detail holds the error's text."),
    Code.CRASHED_WORKER: _("The worker died each time it touched this message."),
}
