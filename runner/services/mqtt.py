"""An MQTT broker: iotcore from the wheel (for trying things out), or Mosquitto."""

import json
import os
import shutil
import socket
import sys
from pathlib import Path

from runner import machine
from runner.services.base import Binaries, Service, ServiceError

SERVER = Path(__file__).with_name("iotcore_server.py")

# What is over the project's limit must reach the bridge, which rejects it with a code. The broker would
# disconnect its publisher instead.
MAX_PAYLOAD_BYTES = 1024 * 1024

# The defaults drop what is beyond 1,000 queued messages after acknowledging it.
MOSQUITTO = """\
listener {port} {host}
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 10
max_queued_messages 1000000
max_inflight_messages 1000
log_dest stderr
log_type error
log_type warning
"""

# A CONNECT of MQTT 3.1.1 with an empty client id and a clean session.
CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x05\x00\x00"
CONNACK = 0x20


class Broker(Service):
    """Whoever reaches it may publish and subscribe: so, on loopback unless `listen` says otherwise."""

    name = "the MQTT broker"
    port_variable = "MQTT_PORT"

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        binaries: Binaries | None = None,
        *,
        listen: str = "127.0.0.1",
    ) -> None:
        super().__init__(folder, port, binaries)
        self.listen = listen

    @property
    def host(self) -> str:
        return self.listen

    @property
    def reachable(self) -> str:
        """An address of this machine on which it answers."""
        return machine.reachable(self.listen)

    @property
    def url(self) -> str:
        return f"mqtt://{machine.in_url(self.reachable)}:{self.port}"

    def _prepare(self) -> None:
        if self.binaries == "system":
            text = MOSQUITTO.format(port=self.port, host=self.listen, folder=self.folder)
            if os.geteuid() == 0:  # it would become the user `mosquitto`, who cannot reach the folder
                text += "user root\n"
            (self.folder / "mosquitto.conf").write_text(text)

    def _command(self) -> list[str]:
        if self.binaries == "wheels":
            options = {
                "listen": self.listen,
                "port": self.port,
                "max_connections": 10_000,
                "max_payload_size": MAX_PAYLOAD_BYTES,
            }
            return [sys.executable, "-I", str(SERVER), json.dumps(options)]
        binary = shutil.which(
            "mosquitto", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin"
        )
        if binary is None:
            raise ServiceError("no mosquitto is installed; `apt install mosquitto`, or set MQTT_URL")
        return [binary, "-c", str(self.folder / "mosquitto.conf")]

    def _ready(self) -> bool:
        """Whether it answers a CONNECT."""
        try:
            with socket.create_connection((self.reachable, self.port), timeout=1) as connection:
                connection.settimeout(1)
                connection.sendall(CONNECT)
                return connection.recv(4)[:1] == bytes([CONNACK])
        except OSError:
            return False
