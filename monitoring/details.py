"""What is wrong with a message or with a line of a file, in the language of whoever reads it.

Details are data: they are stored in English, grouped by, searched for and sent over the API as they stand.
Where a person looks they are recognised by their form, and said again in the person's language with what
was filled in. So rows that were stored long ago are in it too, and decoders know no Django. One that is not
recognised, such as the text of an error of PostgreSQL, or one that was cut off, is shown as it stands.
"""

from functools import lru_cache

from django.utils.translation import get_language, gettext, pgettext_lazy

from process.said import Forms, _

# What may be filled in, where that is not any text.
_NUMBER, _WORD = r"[0-9,.]+", r"\S+"
_FILLED_IN = {
    **dict.fromkeys(("column", "count", "duplicates", "index", "levels", "line", "most", "part"), _NUMBER),
    **dict.fromkeys(("position", "sensor", "size", "wanted"), _NUMBER),
    **dict.fromkeys(("byte", "character", "field", "moment", "oldest", "whole"), _WORD),
    "fault": r"(?:is (?:out of range|not an RFC 3339|no time)|has no offset).*",
}
_FORMS = (
    # --- around others
    _("elements refused: {sums}; the first of them is element {index}: {detail}"),
    _("{detail}; this looks like {maker}: a reading here is {example}, several make an array"),
    _('{detail}; unit "{unit}" read as "{becomes}"'),
    _("{what} at line {line} column {column}"),
    # --- monitoring/decoders/json
    _("the payload has {size} bytes, at most {most} are taken"),
    _("the payload has no bytes"),
    _("the payload is only whitespace"),
    _("the array holds no reading"),
    _("byte {byte} at position {position} is not UTF-8: convert the file"),
    _("byte {byte} at position {position} is not UTF-8 ({reason})"),
    _("it begins with a byte order mark (BOM), which JSON does not allow"),
    _("nested more than {levels} levels deep"),
    _("nested too deep"),
    _("NaN and Infinity are not JSON"),
    _("a reading must be an object, found {found}"),
    _('"{field}" is missing, found {found}'),
    _('"sensor_id" must be an integer from 1 to 2^63-1, found {found}'),
    _('"sensor_id" must be an integer, found {found}'),
    _('"value" must be a finite number, found {found}'),
    _('"value" must be a number, found {found}'),
    _('"value" is beyond any float, found {found}'),
    _('"{field}" must be a string or left out, found {found}'),
    _('"{field}" must have at most {most} characters, found {count}: {found}'),
    _('"{field}" must hold no control character and no lone surrogate, found {character}'),
    _('"ts" must be a finite number of seconds, found {found}'),
    _('"ts" must be Unix seconds or an RFC 3339 string, found {found}'),
    # --- monitoring/decoders/board_status.py
    _("{size} bytes; at most {most} are taken"),
    _('a board says "online" or "offline" here, and not "{found}"'),
    _("a board's name is 1 to {most} printable characters"),
    # --- monitoring/decoders/validate.py
    _('the broker sent its retained copy on subscribing, and it has no "ts"'),
    _('"ts" is {moment}, {duration} after it was received'),
    _('"ts" is {moment}, and nothing before {oldest} is taken'),
    _("it was received at {moment}, and nothing before {oldest} is taken"),
    _("there is no sensor {sensor}, and none is made: AUTO_REGISTER_MAX_SENSORS={most} are there"),
    _("there is no sensor {sensor}"),
    _("sensor {sensor} is switched off"),
    _(
        '"{field}" is "{found}", sensor {sensor} has "{expected}"'
        " (they look alike, but are {one} and {other})"
    ),
    _('"{field}" is "{found}", sensor {sensor} has "{expected}"'),
    # --- monitoring/decoders/board_status.py
    _('a board says "online" or "offline" here, and not "{found}"'),
    _("a board's name is 1 to {most} printable characters"),
    # --- monitoring/ingest, monitoring/rejected
    _("what a board says of itself holds when it says it: dismiss it, it is not replayed"),
    _("sensor {sensor} has {value} at {moment} already"),
    _("a worker died each time that it touched this message"),
    _("another of those to be replayed has its time"),
    _("what a board says of itself holds when it says it: dismiss it, it is not replayed"),
    # --- monitoring/transfer
    _("it is UTF-16: convert it to UTF-8, as `iconv -f UTF-16 -t UTF-8` does"),
    _("the archive is damaged or cut off: {error}"),
    _("standard input is read as CSV alone: save the rest to a file first"),
    _("the line is over {most} bytes"),
    _("the file ends without a line end: complete its last line"),
    _("its first line cannot be read; wanted is a header such as {header}"),
    _("its first line is {found}; wanted is a header such as {header}"),
    _("it has {count} fields, the header {wanted}: {found}"),
    _("sensor must be from 1 to 2^63-1, found {found}"),
    _("sensor must be a whole number from 1 to 2^63-1, found {found}"),
    _("value must be a number, found {found}"),
    _("value is beyond what a 64-bit float holds: {found}"),
    _("unit has over {most} characters: {found}"),
    _("unit holds a control character: {found}"),
    _("{field} {moment} is yet to come"),
    _("created_at {moment} is before {oldest} ({why})"),
    _("sensor {sensor} is being removed"),
    # --- monitoring/decoders/timestamp.py, by itself and after what it speaks of
    _("is out of range and looks like milliseconds: send seconds"),
    _("is out of range: send Unix seconds"),
    _('is not an RFC 3339 time such as "2026-01-28T15:07:55Z"'),
    _('has no offset: send UTC with a "Z" at its end, or an offset such as "+01:00"'),
    _("is no time that can be ({reason})"),
    _('"ts" {found} {fault}'),
    _("created_at {found} {fault}"),
    _("received_at {found} {fault}"),
    # --- monitoring/decoders/json/syntax.py, and what Python says of JSON
    _("Expecting ',' or ']'"),
    _("Expecting ',' delimiter"),
    _("Expecting ':' delimiter"),
    _("Expecting property name enclosed in double quotes"),
    _("Expecting value"),
    _("Extra data"),
    _("Illegal trailing comma before end of {whole}"),
    _("Invalid control character at"),
    _("Invalid \\escape"),
    _("Invalid \\uXXXX escape"),
    _("Unterminated string starting at"),
    _("A NUL follows the JSON (was the C string's terminator sent with it?)"),
    # --- monitoring/decoders/json/makers.py
    _("Tasmota's telemetry"),
    _("a Shelly's status"),
    _("a Shelly's notification"),
    _("ChirpStack's uplink"),
    _("a record of SenML"),
    _("a message for Domoticz"),
    _("a bare value, as ESPHome and Home Assistant's statestream publish it"),
    _("Zigbee2MQTT's state of a device"),
    _("ThingsBoard's telemetry"),
    _("The Things Stack's uplink"),
    _("what OpenMQTTGateway and Theengs publish"),
    _("a message of rtl_433"),
    _("Home Assistant's eventstream"),
    _("InfluxDB's line protocol"),
    # --- what came of a replay (monitoring/rejected/replay.py)
    _("{count} stored, {duplicates} duplicate, rejected again: {codes}"),
    _("{count} stored, {duplicates} duplicate"),
    _("{count} stored, rejected again: {codes}"),
    _("{count} duplicate, rejected again: {codes}"),
    _("{count} stored"),
    _("{count} duplicate"),
    _("rejected again: {codes}"),
    # --- batches/store.py
    _("BATCHES_MAX_BYTES ({most}) of batches are pending"),
    _("Redis has reached its maxmemory ({most})"),
    _("Redis keeps no append-only file: kill -9 loses batches; set appendonly yes"),
    _("Redis answers before it has written: set appendfsync always"),
    _("Redis may evict batches: set maxmemory-policy noeviction"),
    _(
        "Redis may be full before BATCHES_MAX_BYTES ({size} MiB) of batches wait: its maxmemory is {count}"
        " MiB; set it to {most} MiB or more, or BATCHES_MAX_BYTES to less"
    ),
    _("receipts of Idempotency-Keys fill 1/{part} of BATCHES_MAX_BYTES"),
)
# Of one reading, which "stored" elsewhere is not.
_OUTCOMES = {
    "stored": pgettext_lazy("what came of a reading", "stored"),
    "duplicate": pgettext_lazy("what came of a reading", "duplicate"),
}
_DETAILS = Forms((*_FORMS, *_OUTCOMES), nested={"detail", "fault", "maker", "what"}, filled_in=_FILLED_IN)


def translated(detail: str) -> str:
    """In the language that is active; as it stands where that is English, or its form is not known."""
    language = get_language() or ""
    return detail if language.partition("-")[0] == "en" else _said(detail, language)


# A page shows a hundred of them, mostly alike.
@lru_cache(maxsize=1000)
def _said(detail: str, language: str) -> str:
    return _DETAILS.say(detail, _of_form)


def _of_form(form: str) -> str:
    return str(_OUTCOMES[form]) if form in _OUTCOMES else gettext(form)
