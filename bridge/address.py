"""An MQTT broker's address: `mqtt://user:password@host:port?version=3.1.1`."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from process import address

EXAMPLE = "mqtt://user:password@host:1883"
_SCHEMES = {"mqtt": 1883, "mqtts": 8883}
_VERSION = re.compile(r"(version=(?P<version>5|3\.1\.1))?")


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
        """The address that a URL names. Raises ValueError, which says what is wrong and no password."""
        parts = address.split(url, _SCHEMES, EXAMPLE)
        assert parts.hostname
        if parts.password and not parts.username:
            raise ValueError(f"it has a password and no user: {EXAMPLE}")
        if parts.path not in ("", "/"):
            raise ValueError("it has a path; topics belong into MQTT_TOPICS")
        query = _VERSION.fullmatch(parts.query)
        if not query:
            raise ValueError("behind its ? stands version=5, version=3.1.1, or nothing")
        return cls(
            host=parts.hostname,
            port=parts.port or _SCHEMES[parts.scheme],
            tls=parts.scheme == "mqtts",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            version=query["version"],
        )

    def __str__(self) -> str:
        """Without user and password: for logs."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"
