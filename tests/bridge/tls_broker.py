"""A real broker that speaks TLS: iotcore from the wheel, or Debian's Mosquitto."""

import json
import socket
import sys
from pathlib import Path

from runner.services import Binaries, Broker
from runner.services.mqtt import SERVER
from tests.certificates import Pair

RUMQTTD = """\
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = "tls"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v4.1.tls]
certpath = "{pair.certificate}"
keypath = "{pair.key}"
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 100
dynamic_filters = true
"""

MOSQUITTO = "certfile {pair.certificate}\nkeyfile {pair.key}\n"


class TlsBroker(Broker):
    def __init__(self, folder: Path, pair: Pair, binaries: Binaries) -> None:
        super().__init__(folder, binaries=binaries)
        self.pair = pair

    @property
    def url(self) -> str:
        return f"mqtts://127.0.0.1:{self.port}"

    def _prepare(self) -> None:
        super()._prepare()
        if self.binaries == "system":
            with (self.folder / "mosquitto.conf").open("a") as file:
                file.write(MOSQUITTO.format(pair=self.pair))
        else:
            (self.folder / "rumqttd.toml").write_text(RUMQTTD.format(port=self.port, pair=self.pair))

    def _command(self) -> list[str]:
        if self.binaries == "system":
            return super()._command()
        options = {"config_path": str(self.folder / "rumqttd.toml")}
        return [sys.executable, "-I", str(SERVER), json.dumps(options)]

    def _ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
