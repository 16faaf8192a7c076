"""Another maker's payload, called by its name: a person who reads why it was refused knows what to change.

A hint, and no decoder: it is asked about what was refused already, and the reason code never hangs on it.
Hostile input pays no more than a look at each key of an object, or at a payload's first bytes; nothing is
parsed again. To add a maker, add a row here and an example in examples/makers.json.
"""

import re
from typing import Any

_HINT = '; this looks like %s: a reading here is {"sensor_id": 1, "value": 21.5}, several make an array'

_TASMOTA = "Tasmota's telemetry"
_SHELLY = "a Shelly's status"
_CHIRPSTACK = "ChirpStack's uplink"
_SENML = "a record of SenML"
_DOMOTICZ = "a message for Domoticz"
_BARE = "a bare value, as ESPHome and Home Assistant's statestream publish it"

# What it looks like, a key that few others have, and what stands beside that key.
_OBJECTS: tuple[tuple[str, ...], ...] = (
    (_TASMOTA, "StatusSNS"),
    ("Zigbee2MQTT's state of a device", "linkquality"),
    ("ThingsBoard's telemetry", "values", "ts"),
    ("a Shelly's notification", "params", "method", "src"),
    (_SHELLY, "tC", "id"),
    (_SHELLY, "rh", "id"),
    (_SHELLY, "apower", "id"),
    (_SHELLY, "a_act_power", "id"),
    (_SHELLY, "output", "id", "source"),
    ("The Things Stack's uplink", "end_device_ids"),
    (_CHIRPSTACK, "deviceInfo", "deduplicationId"),
    (_CHIRPSTACK, "devEUI", "applicationID"),
    (_SENML, "bn"),
    (_SENML, "v", "n"),
    (_SENML, "v", "u"),
    (_SENML, "vb", "n"),
    (_SENML, "vs", "n"),
    (_SENML, "vd", "n"),
    (_DOMOTICZ, "idx", "nvalue"),
    (_DOMOTICZ, "idx", "svalue"),
    ("what OpenMQTTGateway and Theengs publish", "model_id", "id", "rssi"),
    ("a message of rtl_433", "model", "time"),
    ("Home Assistant's eventstream", "event_data", "event_type"),
)

# What text or bytes look like from their beginning, where they are no JSON. None of these can backtrack far.
_WORDS = (
    "on|off|open|closed|online|offline|home|not_home|unavailable|unknown|none|true|false|[+-]?(?:nan|inf)"
)
_NUMBER = r"""[+-]?[0-9]{1,20}+(?:[.,][0-9]{1,20}+)?[ ]?[^][\s0-9{}",:=]{0,8}"""
_BARE_VALUE = re.compile(rf"\s{{0,8}}(?:{_WORDS}|{_NUMBER})\s{{0,8}}".encode(), re.IGNORECASE)
_LONGEST_BARE_VALUE = 80
_FORMATS = (
    # Protobuf: field 1, milliseconds since 1970, has six bytes until 2109; a metric or the sequence follows.
    ("Sparkplug B", re.compile(rb"\x08[\x80-\xff]{5}[\x00-\x7f][\x12\x18]")),
    (
        "InfluxDB's line protocol",
        re.compile(rb"""[\w./-]{1,64}+(?:,[\w./-]{1,64}+=[^\s,=]{1,64}+){0,16}+ [\w./-]{1,64}+=["+\-\w.]"""),
    ),
)

_BY_KEY = {
    key: [(name, others) for name, its_key, *others in _OBJECTS if its_key == key] for _, key, *_ in _OBJECTS
}
_AFTER_A_BARE_VALUE = _HINT % _BARE  # there may be eight thousand of them


def hint(found: Any) -> str:
    """What to say after the detail of a refused element, of which JSON made `found`; "" for nothing."""
    if isinstance(found, dict):
        name = _name_of(found)
        return _HINT % name if name else ""
    return "" if isinstance(found, list) else _AFTER_A_BARE_VALUE


def hint_of_bytes(payload: bytes) -> str:
    """The same of a payload that is no JSON, or no text at all."""
    if len(payload) <= _LONGEST_BARE_VALUE and _BARE_VALUE.fullmatch(payload):
        return _AFTER_A_BARE_VALUE
    for name, form in _FORMATS:
        if form.match(payload):
            return _HINT % name
    return ""


def _name_of(fields: dict[str, Any]) -> str:
    if "sensor_id" in fields:  # it means to be a reading: its fault is said already
        return ""
    for key in fields:
        for name, others in _BY_KEY.get(key, ()):
            if all(other in fields for other in others):
                return name
    # Tasmota names its sensors as it likes: what gives it away is a capital Time beside an object for each.
    if isinstance(fields.get("Time"), str) and any(isinstance(value, dict) for value in fields.values()):
        return _TASMOTA
    return ""
