"""One installation: a copy of the project in a folder of its own, and a compose project of its own name.

The copy's .env is .env.example and what keeps this installation apart from others on the machine: its
name, its image, its ports. The user's .env, containers and volumes are never touched.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from deploy.test.transcript import Failure, wait_for, warn

PROJECT = Path(__file__).parents[2]
# What of the shell's environment the commands get. Compose would prefer any other to what .env says.
INHERITED = ("PATH", "HOME", "USER", "TMPDIR", "LANG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK")
LASTING = ("db", "redis", "mosquitto", "web", "bridge", "worker", "upkeep", "beat", "flower")
# The tag of the image that an upgrade replaces: what has a name can be removed by it.
BEFORE = "before"
OURS = ("credentials", "migrate", "web", "bridge", "worker", "upkeep", "beat", "flower")


def free_ports(count: int) -> list[int]:
    """All at once, so that no two are the same."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def run(
    command: list[str], *, folder: Path | None = None, stdin: str | None = None, seconds: float = 300
) -> subprocess.CompletedProcess[str]:
    """Runs a command with a clean environment; whatever its exit code."""
    environ = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environ |= {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environ,
            input=stdin or "",
            timeout=seconds,
            capture_output=True,
            text=True,
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(command)}: not done after {seconds:.0f} s") from None


def succeed(command: list[str], *, folder: Path | None = None, stdin: str | None = None) -> str:
    done = run(command, folder=folder, stdin=stdin)
    if done.returncode != 0:
        raise Failure(
            f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}".rstrip()
        )
    return done.stdout


class Installation:
    def __init__(self, folder: Path, name: str, image: str) -> None:
        self.folder = folder
        self.name = name
        self.image = image
        self.web_port, self.mqtt_port, self.mqtts_port, self.flower_port = free_ports(4)
        self._copy()
        shutil.copyfile(folder / ".env.example", folder / ".env")
        self.set(
            COMPOSE_PROJECT_NAME=name,
            IMAGE=image,
            WEB_PORT=str(self.web_port),
            MQTT_PORT=str(self.mqtt_port),
            MQTTS_PORT=str(self.mqtts_port),
            FLOWER_PORT=str(self.flower_port),
        )

    def _copy(self) -> None:
        """What git knows, or would take in, as it stands in the working tree."""
        listed = subprocess.run(
            ["git", "ls-files", "-coz", "--exclude-standard"],
            cwd=PROJECT,
            check=True,
            capture_output=True,
            text=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            if (PROJECT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, self.folder / name)

    def set(self, **settings: str) -> None:
        """Adds lines to .env; compose takes the last of a name."""
        with (self.folder / ".env").open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in settings.items())

    # --- commands --------------------------------------------------------------------------------

    def shell(self, command: str, stdin: str | None = None) -> str:
        """A line as a person would type it in the project's folder. Returns what it prints."""
        return succeed(["sh", "-ec", command], folder=self.folder, stdin=stdin)

    def compose(self, *arguments: str, stdin: str | None = None) -> str:
        return succeed(["docker", "compose", *arguments], folder=self.folder, stdin=stdin)

    def exec(self, service: str, *command: str, stdin: str | None = None) -> str:
        return self.compose("exec", "-T", service, *command, stdin=stdin)

    def manage(self, *arguments: str, stdin: str | None = None) -> str:
        return self.exec("web", "python", "manage.py", *arguments, stdin=stdin)

    def sql(self, query: str) -> list[list[str]]:
        """The rows, as text."""
        text = self.exec("db", "psql", "-U", "iot", "-d", "iot", "-qAtX", "-F", "\t", "-c", query)
        return [line.split("\t") for line in text.splitlines()]

    # --- containers ------------------------------------------------------------------------------

    def containers(self) -> dict[str, list[dict[str, Any]]]:
        """Service → what `docker inspect` says of each of its containers, ended ones too."""
        ids = succeed(
            ["docker", "ps", "-aq", "--no-trunc", "-f", f"label=com.docker.compose.project={self.name}"]
        ).split()
        found: dict[str, list[dict[str, Any]]] = {}
        for container in json.loads(succeed(["docker", "inspect", *ids])) if ids else []:
            labels = container["Config"]["Labels"]
            if labels.get("com.docker.compose.oneoff") != "True":
                found.setdefault(labels["com.docker.compose.service"], []).append(container)
        return found

    def is_healthy(self, *services: str) -> bool:
        """Raises Failure where a container that runs once ended badly: waiting would not mend it."""
        found = self.containers()
        for service in ("credentials", "migrate"):
            for container in found.get(service, []):
                if (code := container["State"]["ExitCode"]) != 0:
                    raise Failure(f"{service} ended with exit code {code}")
        return all(
            service in found
            and all(each["State"].get("Health", {}).get("Status") == "healthy" for each in found[service])
            for service in services or LASTING
        )

    def up(self, *services: str, healthy: tuple[str, ...] = LASTING) -> float:
        """`docker compose up -d`, and what it starts healthy. Seconds."""
        began = time.monotonic()
        self.compose("up", "-d", *services)
        wait_for(lambda: self.is_healthy(*healthy), "every container to be healthy", 180)
        return time.monotonic() - began

    def kill(self, service: str) -> str:
        """kill -9 of a container's process, as seen from the host; returns the container's id.

        `docker kill` would count as a stop by hand, after which the restart policy rests. The signal
        is sent from a container that sees the host's processes, so that this needs no root on the
        host, and works where the engine is a machine of its own.
        """
        (container,) = self.containers()[service]
        send = "import os, sys; os.kill(int(sys.argv[1]), 9)"
        succeed(
            ["docker", "run", "--rm", "--pid=host", "--network=none", "--user=0", "--cap-drop=ALL",
             "--cap-add=KILL", "--security-opt=apparmor=unconfined", self.image,
             "python", "-c", send, str(container["State"]["Pid"])]
        )  # fmt: skip
        return str(container["Id"])

    def logs(self, tail: int = 12) -> str:
        return self.shell(f"docker compose --ansi never logs --no-color --tail {tail} 2>&1")

    def remove(self) -> None:
        """Containers, network, volumes, image; says what it could not remove."""
        down = ["docker", "compose", "--profile", "*", "down", "-v", "--remove-orphans", "-t", "2"]
        images = [["docker", "image", "rm", "-f", f"{self.image}:{tag}"] for tag in ("latest", BEFORE)]
        for command in (down, *images):
            done = run(command, folder=self.folder)
            if done.returncode != 0 and "No such image" not in done.stderr:
                warn(f"{' '.join(command)}: {done.stderr.strip()}")
