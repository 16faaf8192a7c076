"""Who runs in the containers, with what rights, and who gets to see a secret."""

from collections.abc import Callable
from typing import Any

from deploy.test.installation import LASTING, OURS, Installation, run
from deploy.test.transcript import require

Note = Callable[[str], None]

# What is kept with the secrets and is none, or holds one that stands by itself too.
NO_SECRET = {"MQTT_TOPICS", "redis.conf"}


def secrets(installation: Installation) -> dict[str, str]:
    """Every secret of the installation, by its place in the volumes."""
    listed = installation.compose("run", "--rm", "-T", "credentials", "grep", "-r", "", "/run/iot")
    places = dict(line.removeprefix("/run/iot/").split(":", 1) for line in listed.splitlines())
    found = {place: value for place, value in places.items() if place.rpartition("/")[2] not in NO_SECRET}
    require(len(found) >= 10, f"secrets only in {', '.join(found)}")
    return found


def is_confined(installation: Installation, note: Note) -> None:
    """Ours: another user than root, no capability, a root file system that cannot be written to."""
    for service, containers in installation.containers().items():
        for container in containers:
            _by_its_settings(service, container)
    for service in LASTING:
        status = dict(
            line.split(":\t", 1)
            for line in installation.exec(service, "cat", "/proc/1/status").splitlines()
            if ":\t" in line
        )
        user, rights = status["Uid"].split()[1], int(status["CapEff"], 16)
        require(user != "0", f"{service} runs as root")
        require(status["NoNewPrivs"] == "1", f"{service} could gain rights by a setuid program")
        if service in OURS:
            require(rights == 0, f"{service} has capabilities {rights:x}")
            refused = run(
                ["docker", "compose", "exec", "-T", service, "touch", "/app/monitoring/x"],
                folder=installation.folder,
            )
            require("Read-only file system" in refused.stderr, f"{service} can write to its root: {refused}")
        note(f"{service}: user {user}, capabilities {rights:x}")


def _by_its_settings(service: str, container: dict[str, Any]) -> None:
    host, config = container["HostConfig"], container["Config"]
    require(not host["Privileged"], f"{service} is privileged")
    require(
        not host["PidMode"] and host["NetworkMode"] != "host",
        f"{service} sees the host's processes or network",
    )
    mounts = [mount["Source"] for mount in container["Mounts"]]
    require(not any("docker.sock" in source for source in mounts), f"{service} has the engine's socket")
    require("no-new-privileges:true" in host["SecurityOpt"], f"{service} lacks no-new-privileges")
    logs = host["LogConfig"]["Config"]
    require(logs.get("max-size") and logs.get("max-file"), f"the logs of {service} grow for ever")
    if service in OURS:
        require(config["User"].split(":")[0] not in ("", "0", "root"), f"{service}: user {config['User']!r}")
        require(host["ReadonlyRootfs"], f"{service} may write to its root file system")
        require(
            host["CapDrop"] == ["ALL"] and not host["CapAdd"],
            f"{service}: {host['CapDrop']} {host['CapAdd']}",
        )


def keeps_secrets(installation: Installation, note: Note) -> dict[str, str]:
    """No secret where everybody looks: `docker inspect`, the logs, the image. Returns them."""
    found = secrets(installation)
    places = {
        "docker inspect": str(installation.containers()),
        "the logs": installation.compose("logs", "--no-color"),
        "the image's history": installation.shell('docker history --no-trunc "$(sed -n s/^IMAGE=//p .env)"'),
    }
    for place, text in places.items():
        require(text, f"nothing to look at in {place}")
        for name, value in found.items():
            require(value not in text, f"{name} stands in {place}")
    note(f"{len(found)} secrets, none of them in {', '.join(places)}")
    return found


def refuses_bad_secrets(installation: Installation, note: Note) -> None:
    """A given secret that is too weak stops the start, with a line that names it and not its value."""
    for variable in (
        "SECRET_KEY",
        "POSTGRES_PASSWORD",
        "REDIS_PASSWORD",
        "MQTT_BRIDGE_PASSWORD",
        "MQTT_DEMO_PASSWORD",
        "FLOWER_PASSWORD",
        "GRAFANA_PASSWORD",
        "GRAFANA_DB_PASSWORD",
    ):
        refused = run(
            ["docker", "compose", "run", "--rm", "-T", "-e", f"{variable}=swordfish", "credentials"],
            folder=installation.folder,
        )
        (line,) = [line for line in refused.stderr.splitlines() if line.startswith("credentials:")] or [""]
        require(
            refused.returncode == 1 and variable in line and "swordfish" not in line,
            f"{variable}=swordfish: exit code {refused.returncode}, {refused.stderr}",
        )
        if variable == "POSTGRES_PASSWORD":
            note(line)
