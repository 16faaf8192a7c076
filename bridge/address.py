"""An MQTT broker's address: `mqtt://user:password@host:port?version=3.1.1`."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

_SCHEMES = {"mqtt": 1883, "mqtts": 8883}
_VERSION = re.compile(r"(version=(?P<version>5|3\.1\.1))?")
# What Python says of it may quote a part of the password.
_NO_ADDRESS = (
    "MQTT_URL is not an address: mqtt://user:password@host:1883, with /, ?, # and @ in the password written "
    "%2F, %3F, %23 and %40"
)


@dataclass(frozen=True)
class MqttAddress:
    """`version` is None where the URL names none: 5 is tried first, then 3.1.1."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = None
    version: str | None = None

    @classmethod
    def parse(cls, url: str) -> "MqttAddress":
        """Raises ValueError with a line that says what is wrong; never with the password in it."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(_NO_ADDRESS) from None
        if parts.scheme not in _SCHEMES:
            raise ValueError("MQTT_URL must start with mqtt:// or mqtts://")
        if not parts.hostname:
            raise ValueError("MQTT_URL names no host: mqtt://host:1883")
        if "@" in parts.path + parts.query + parts.fragment or port == 0 or " " in parts.hostname:
            # With an @ that late, the user passes for the host, and the password's beginning for its port.
            raise ValueError(_NO_ADDRESS)
        if parts.password and not parts.username:
            raise ValueError(_NO_ADDRESS)
        if parts.path not in ("", "/") or parts.fragment:
            raise ValueError("MQTT_URL has a path; topics belong into MQTT_TOPICS")
        query = _VERSION.fullmatch(parts.query)
        if not query:
            raise ValueError("MQTT_URL knows ?version=5 and ?version=3.1.1 alone")
        return cls(
            host=parts.hostname,
            port=port or _SCHEMES[parts.scheme],
            tls=parts.scheme == "mqtts",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            version=query["version"],
        )

    def __str__(self) -> str:
        """Without user and password: for logs."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"
