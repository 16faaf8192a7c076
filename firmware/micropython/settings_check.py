"""settings.py, held against what the program needs of it."""

SETTINGS = {
    "BOARD_NAME": str,
    "WIFI_SSID": str,
    "WIFI_PASSWORD": str,
    "MQTT_HOST": str,
    "MQTT_PORT": int,
    "MQTT_USER": str,
    "MQTT_PASSWORD": str,
    "MQTT_TOPIC": str,
    "MQTT_STATUS_TOPIC": str,
    "MQTT_TLS": bool,
    "MQTT_TLS_INSECURE": bool,
    "MQTT_CA_FILE": str,
    "SENSOR_TEMPERATURE": int,
    "SENSOR_HUMIDITY": int,
    "SENSOR_LIGHT": int,
    "INTERVAL_SECONDS": (int, float),
    "KEEP_READINGS": int,
    "RETRY_SECONDS": (int, float),
    "NTP_SERVER": str,
    "PIN_DHT": int,
    "PIN_LIGHT": int,
    "PIN_LED": int,
}


class SettingsError(Exception):
    """The text says what to do."""


def load():
    """The module `settings`. Raises SettingsError for the first value that does not fit."""
    try:
        import settings
    except ImportError:
        raise SettingsError(
            "settings.py is missing: copy settings_example.py to settings.py, and look through it."
        )
    for name, kind in SETTINGS.items():
        if not hasattr(settings, name):
            raise SettingsError("settings.py lacks %s: copy its line from settings_example.py." % name)
        value = getattr(settings, name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise SettingsError(
                "settings.py: %s = %r does not fit; settings_example.py has one that does." % (name, value)
            )
    for name in ("MQTT_TOPIC", "MQTT_STATUS_TOPIC", "BOARD_NAME"):
        value = getattr(settings, name)
        if not value or "#" in value or "+" in value:
            raise SettingsError(
                "settings.py: %s = %r must not be empty, nor have # or + in it." % (name, value)
            )
    for name in ("SENSOR_TEMPERATURE", "SENSOR_HUMIDITY", "SENSOR_LIGHT"):
        if getattr(settings, name) < 1:
            raise SettingsError("settings.py: %s = %d must be 1 or more." % (name, getattr(settings, name)))
    if not 1 <= settings.MQTT_PORT <= 65535:
        raise SettingsError("settings.py: MQTT_PORT = %d must be 1 to 65535." % settings.MQTT_PORT)
    if not 32 <= settings.PIN_LIGHT <= 39:
        text = "settings.py: PIN_LIGHT = %d: 32 to 39, pins of ADC1; ADC2 does not work beside Wi-Fi."
        raise SettingsError(text % settings.PIN_LIGHT)
    if settings.MQTT_TLS and not settings.MQTT_CA_FILE and not settings.MQTT_TLS_INSECURE:
        raise SettingsError(
            "settings.py: MQTT_TLS needs MQTT_CA_FILE, a file with the certificate of the broker's authority."
        )
    if (
        not 0 < settings.INTERVAL_SECONDS <= 86400
        or settings.KEEP_READINGS < 3
        or settings.RETRY_SECONDS <= 0
    ):
        raise SettingsError(
            "settings.py: INTERVAL_SECONDS 0 to 86400, KEEP_READINGS 3 or more, RETRY_SECONDS above 0."
        )
    return settings
