"""docker-compose.yml says in its own words what stands elsewhere: here the two are held together."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from batches.batch import Batch, Message, time_ordered_id
from batches.store import BatchStore, Receipt
from config.worker import EndsInTime
from runner.services import Redis

PROJECT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
PROCFILE = dict(
    line.split(": ", 1)
    for line in (PROJECT / "Procfile").read_text().splitlines()
    if not line.startswith("#")
)
ONCE = {"credentials", "migrate", "grafana-role"}
OURS = ONCE | {"web", "bridge", "worker", "upkeep", "beat", "flower", "simulator"}


def words(command: str) -> list[str]:
    """Without what differs for a reason: where it listens, and Flower's password."""
    text = re.sub(r"--(host|address|port)[= ]\S+|--conf=\S+", "", command)
    return re.sub(r"\$\{LOG_LEVEL:-INFO\}", "$LOG_LEVEL", text).split()


@pytest.mark.parametrize("name", PROCFILE)
def test_a_process_is_started_as_the_procfile_has_it(name: str) -> None:
    command = SERVICES[name].get("command")
    if command is None:
        image = (PROJECT / "Dockerfile").read_text().replace("\\\n", "")
        command = re.findall(r'"([^"]+)"', image[image.index("\nCMD") :])
    assert words(" ".join(command)) == words(PROCFILE[name])


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_kept_up_and_its_log_small(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert service["logging"]["options"]["max-size"]
    assert "no-new-privileges:true" in service["security_opt"]
    if name not in ONCE | {"simulator"}:
        assert service["healthcheck"]["test"]


@pytest.mark.parametrize("name", sorted(OURS))
def test_ours_may_do_nothing_that_they_need_not(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    # What a stranger sends is held there: bounded, since it is memory.
    (folder,) = service["tmpfs"]
    assert re.fullmatch(r"/tmp:size=\d+m", folder)
    assert not {"privileged", "user", "cap_add", "pid"} & set(service)
    assert re.search(r"^USER \d+:\d+$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)


def test_only_the_site_and_the_broker_are_published_and_flower_and_grafana_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"web", "mosquitto", "flower", "grafana"}
    for name in ("flower", "grafana"):
        assert published[name][0].startswith("127.0.0.1:")


def test_a_new_image_of_ours_replaces_none_of_the_others() -> None:
    """Compose replaces what depends on a container that it replaces."""
    for name in set(SERVICES) - OURS:
        assert not OURS & set(SERVICES[name].get("depends_on", {})), name


@pytest.mark.parametrize("name", ["worker", "upkeep"])
def test_a_worker_has_longer_to_stop_than_a_task_may_take(name: str, settings: Any) -> None:
    grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert grace > settings.CELERY_TASK_TIME_LIMIT + EndsInTime.MARGIN_SECONDS


class ContainersRedis(Redis):
    """With the containers' settings; its folder is the test's."""

    def _prepare(self) -> None:
        text = (PROJECT / "deploy/redis.conf").read_text()
        for theirs, ours in (
            ("bind * -::*", f"bind 127.0.0.1\nport {self.port}"),
            ("dir /data", f'dir "{self.folder}"'),
            ("include /run/iot/redis.conf", f"requirepass {self.password}"),
        ):
            assert theirs in text
            text = text.replace(theirs, ours)
        (self.folder / "redis.conf").write_text(text)


def test_redis_is_told_what_durability_needs(tmp_path: Path) -> None:
    assert "./deploy/redis.conf:/etc/iot/redis.conf:ro" in SERVICES["redis"]["volumes"]
    with ContainersRedis(tmp_path / "redis") as redis:
        store = BatchStore.at(redis.url, 2**20)
        assert store.warnings() == []
        batch = Batch(time_ordered_id(), "test", [Message(1, "t", b"x")])
        store.hand_over(batch, Receipt("r", ""))
        redis.kill()
        redis.start()
        assert store.due(10) == [batch.id]


def test_secrets_are_written_by_those_alone_who_make_them() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            if volume.startswith("credentials") and name not in ONCE:
                assert volume.endswith(":ro"), (name, volume)
    readers = {
        volume.partition(":")[0]: {
            name
            for name, service in SERVICES.items()
            if any(v.partition(":")[0] == volume.partition(":")[0] for v in service.get("volumes", []))
        }
        for volume in SERVICES["credentials"]["volumes"]
    }
    assert readers["credentials-db"] == {"credentials", "db"}
    assert readers["credentials-redis"] == {"credentials", "redis"}
    assert readers["credentials-mosquitto"] == {"credentials", "mosquitto"}
    assert readers["credentials-grafana"] == {"credentials", "grafana", "grafana-role"}


def test_what_comes_up_by_itself_needs_no_image_of_a_profile() -> None:
    """.ci/run pulls these before it tests the containers."""
    text = (PROJECT / ".ci/run").read_text()
    function = text[text.index("base_images() {") :].split("\n}\n")[0] + "\n}\nbase_images"
    said = subprocess.run(["bash", "-c", function], cwd=PROJECT, capture_output=True, text=True, check=True)
    of_services = {
        service["image"]
        for name, service in SERVICES.items()
        if name not in OURS and "profiles" not in service
    }
    assert len(of_services) == 3
    assert {image for image in said.stdout.split() if not image.startswith("python:")} == of_services
    # Each is pinned, and stays so.
    assert re.fullmatch(r"grafana/grafana:\d+\.\d+\.\d+", SERVICES["grafana"]["image"])


def test_no_command_needs_a_shell_but_those_that_read_a_file() -> None:
    for name, service in SERVICES.items():
        assert isinstance(service.get("command", []), list), name
