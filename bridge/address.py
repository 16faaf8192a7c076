"""An MQTT broker's address: `mqtt://user:password@host:port?version=3.1.1`."""

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

_SCHEMES = {"mqtt": 1883, "mqtts": 8883}
_VERSIONS = ("5", "3.1.1")


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
            # What Python says of it may quote a part of the password.
            raise ValueError(
                "MQTT_URL is not an address: mqtt://user:password@host:1883, with /, ?, # and @ in the "
                "password written %2F, %3F, %23 and %40"
            ) from None
        if parts.scheme not in _SCHEMES:
            raise ValueError("MQTT_URL must start with mqtt:// or mqtts://")
        if not parts.hostname:
            raise ValueError("MQTT_URL names no host: mqtt://host:1883")
        if parts.path not in ("", "/"):
            raise ValueError("MQTT_URL has a path; topics belong into MQTT_TOPICS")
        query = parse_qs(parts.query)
        if unknown := set(query) - {"version"}:
            raise ValueError(f"MQTT_URL knows ?version= alone, not {', '.join(sorted(unknown))}")
        version = query.get("version", [None])[-1]
        if version is not None and version not in _VERSIONS:
            raise ValueError(f"MQTT_URL: version is {' or '.join(_VERSIONS)}, not {version}")
        return cls(
            host=parts.hostname,
            port=port or _SCHEMES[parts.scheme],
            tls=parts.scheme == "mqtts",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            version=version,
        )

    def __str__(self) -> str:
        """Without user and password: for logs."""
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"
