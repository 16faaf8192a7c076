"""The web process as the Procfile starts it, on a PostgreSQL of its own."""

import http.client
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg2

from runner.child import read_procfile
from runner.services import Postgres
from tests.clusters import copy_migrated
from tests.journey.system import PROJECT, wait_for
from tests.runner.running import free_port

THREADS = 2
METRICS_TOKEN = "a-token-for-the-tests"


class Site:
    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        copy_migrated(folder / "postgres")
        self.postgres = Postgres(folder / "postgres", durable=False).start()
        self.port = free_port()
        self.environment = os.environ | {
            "DATABASE_URL": self.postgres.url,
            "DATA_DIR": str(folder / "data"),
            "WEB_LISTEN": "127.0.0.1",
            "WEB_PORT": str(self.port),
            "FLOWER_PORT": "5555",
            "LOG_LEVEL": "INFO",
            "WEB_THREADS": str(THREADS),
            "API_PUBLIC_READ": "1",
            "METRICS_TOKEN": METRICS_TOKEN,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **environment,
        }
        (folder / "data").mkdir()
        self.process: subprocess.Popen[bytes] | None = None

    def manage(self, *command: str) -> None:
        subprocess.run(["python", "manage.py", *command], cwd=PROJECT, env=self.environment, check=True)

    def start(self) -> None:
        command = read_procfile(PROJECT / "Procfile", self.environment)["web"]
        with open(self.folder / "web.log", "ab") as log:
            self.process = subprocess.Popen(
                command, cwd=PROJECT, env=self.environment, stdout=log, stderr=log
            )
        wait_for(lambda: self.client().get("/healthz").status == 200, "the web server")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        self.kill()
        self.postgres.stop()

    def client(self) -> "Client":
        return Client(self.port)

    def query(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.postgres.url, application_name="the test")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql, params)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def backends(self) -> dict[int, str]:
        """The state of each connection that the site has, by the pid of its backend."""
        return dict(
            self.query(
                "SELECT pid, state FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name <> 'the test'"
                " AND backend_type = 'client backend'"
            )
        )


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()


class Client:
    """One connection, kept alive."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def ask(self, method: str, path: str, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, headers={"Host": "localhost"} | named)
        return Answer(self.connection.getresponse())
