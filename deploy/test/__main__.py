"""The compose file, for real: brought up as it is, used as README.md says, hurt, and taken down again.

    make docker-test                  or: .venv/bin/python -m deploy.test [--keep]

Wants a Docker engine with `docker compose` 2.24 or later, and the base images or a registry that has them.
Everything runs in a copy of the working tree with a compose project, an image and ports of its own, and
is removed at the end, also after Ctrl-C. One line a step; it stops at the first that fails, shows the
containers' last lines, and ends with exit code 1. --keep leaves it all running, to be looked at.
"""

import argparse
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from deploy.test import confinement, doors
from deploy.test.api import Api
from deploy.test.broker import User
from deploy.test.installation import LASTING, Installation, run
from deploy.test.load import Account, Load, add_device
from deploy.test.transcript import Failure, Transcript, require, wait_for

# All but the broker: what it loses when it is killed is its own matter; docs/containers.md has figures.
KILLED = ("db", "redis", "web", "bridge", "worker", "beat", "flower")
SUPERUSER = {
    "DJANGO_SUPERUSER_USERNAME": "tester",
    "DJANGO_SUPERUSER_PASSWORD": "correct-horse-battery",
    "DJANGO_SUPERUSER_EMAIL": "tester@example.org",
}
SEED = '{"sensor_id": 3, "type": "light", "value": 2.57, "unit": "V"}'
NEW_MIGRATION = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("monitoring", "{last}")]
    operations = [migrations.RunSQL("COMMENT ON TABLE monitoring_sensor IS 'upgraded'", "")]
"""


class Run:
    """The steps, in the order in which they are called; each leaves the system as the next expects it."""

    def __init__(self, transcript: Transcript, installation: Installation) -> None:
        self.transcript = transcript
        self.installation = installation
        self.step = transcript.step
        self.api: Api
        self.accounts: list[Account] = []
        self.load: Load | None = None

    # --- before anything runs --------------------------------------------------------------------

    def build(self) -> None:
        with self.step("docker compose config -q"):
            said = run(["docker", "compose", "config", "-q"], folder=self.installation.folder)
            require(not (said.returncode or said.stderr), said.stderr)
        with self.step("docker compose build") as note:
            self.installation.compose("build", "--quiet")
            size = self.installation.shell(
                f"docker image inspect -f '{{{{.Size}}}}' {self.installation.image}"
            )
            note(f"image: {int(size) / 1e6:.0f} MB, its base image included")
        with self.step("manage.py check --deploy in the image: no warning"):
            variables = {
                "ENV_FILES": "0", "HTTPS": "1", "ALLOWED_HOSTS": "iot.example.org",
                "CSRF_TRUSTED_ORIGINS": "https://iot.example.org", "DATABASE_URL": "postgres://x:x@127.0.0.1/x",
                "REDIS_URL": "redis://127.0.0.1", "SECRET_KEY": os.urandom(48).hex(),
            }  # fmt: skip
            given = " ".join(f"-e {name}={value}" for name, value in variables.items())
            self.installation.shell(
                f"docker run --rm --network none --read-only {given} {self.installation.image}"
                " python manage.py check --deploy --fail-level WARNING"
            )

    # --- as README.md says -----------------------------------------------------------------------

    def start(self) -> None:
        with self.step("docker compose up: every container healthy") as note:
            seconds = self.installation.up()
            note(f"time to healthy: {seconds:.0f} s, {len(LASTING)} containers")

    def use(self) -> None:
        with self.step("createsuperuser --noinput"):
            self.installation.shell("docker compose exec web python manage.py createsuperuser --noinput")
            self.api = Api(
                self.installation,
                SUPERUSER["DJANGO_SUPERUSER_USERNAME"],
                SUPERUSER["DJANGO_SUPERUSER_PASSWORD"],
            )
        with self.step("the seed payload through the mosquitto container, read from the API") as note:
            self.installation.shell(
                "docker compose exec mosquitto sh -c '"
                'mosquitto_pub -u demo -P "$(cat /run/iot/demo)" -q 1 -t iot/measurements -m "$1"'
                f"' -- '{SEED}'"
            )
            last = wait_for(lambda: self.api.get("sensors/3/last/"), "the seed payload")
            require((last["value"], last["unit"]) == (2.57, "V"), f"the API says {last}")
            note(str(last))
        with self.step("the snippet for manage.py shell"):
            readme = (self.installation.folder / "README.md").read_text()
            (snippet,) = [
                block
                for block in re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
                if "monitoring.models" in block
            ]
            found = self.installation.manage(
                "shell",
                "-c",
                snippet.rstrip().replace("\nMeas", "\nfound = Meas") + "\nprint(found[0].value)",
            )
            require("2.57" in found, f"manage.py shell prints {found!r}")
        with self.step("message round trip: published port to API") as note:
            note(self.round_trip())

    def round_trip(self, times: int = 20) -> str:
        demo = self.demo()
        took = []
        with User(self.installation.mqtt_port, demo.user, demo.password) as board:
            for number in range(times):
                value = 100 + number / 8
                began = time.monotonic()
                board.publish(demo.topic, f'{{"sensor_id": 2, "value": {value}}}')
                while True:
                    try:
                        if self.api.get("sensors/2/last/")["value"] == value:
                            break
                    except OSError:
                        pass
                    require(time.monotonic() - began < 20, "no answer within 20 s")
                took.append(1000 * (time.monotonic() - began))
        return f"median {statistics.median(took):.0f} ms, longest {max(took):.0f} ms, of {times}"

    def demo(self) -> Account:
        password = self.installation.exec("mosquitto", "cat", "/run/iot/demo").strip()
        return Account("demo", password, "iot/measurements", 3)

    # --- who may do what -------------------------------------------------------------------------

    def look_from_outside(self) -> None:
        with self.step("nothing runs as root or privileged") as note:
            confinement.is_confined(self.installation, note)
        with self.step("secrets are nowhere to be read") as note:
            self.secrets = confinement.keeps_secrets(self.installation, note)
        with self.step("ports") as note:
            doors.ports(self.installation, note)
        with self.step("what is let in without a password") as note:
            doors.without_password(self.installation, note)
        with self.step("deploy/add-device, and the broker's ACL") as note:
            devices = [add_device(self.installation, f"board-{n}", n) for n in (1, 2)]
            self.accounts = [*devices, self.demo()]
            bridge = ("bridge", self.secrets["mosquitto/bridge"])
            doors.who_may_write_what(self.installation, self.accounts[2], *devices, bridge, note)

    # --- under load ------------------------------------------------------------------------------

    def start_load(self) -> None:
        self.load = Load(self.installation, self.accounts)
        self.load.start()
        self.wait_for_more("the load's first messages")

    def wait_for_more(self, what: str) -> None:
        before = wait_for(self.api.in_ledger, "the ledger")
        wait_for(lambda: self.api.in_ledger() > before + 100, what)

    def kill(self, service: str) -> None:
        with self.step(f"kill -9 under load: {service}") as note:
            (before,) = self.installation.containers()[service]
            began = time.monotonic()
            self.installation.kill(service)

            def is_back() -> bool:
                (now,) = self.installation.containers()[service]
                return (
                    now["Id"] == before["Id"]
                    and now["RestartCount"] > before["RestartCount"]
                    and now["State"]["Pid"] not in (0, before["State"]["Pid"])
                    and self.installation.is_healthy(service)
                )

            wait_for(is_back, f"{service} to come back")
            self.wait_for_more(f"messages stored after {service} was killed")
            note(f"healthy again and messages stored after {time.monotonic() - began:.1f} s")

    def scale(self) -> None:
        with self.step("docker compose up --scale worker=3, under load") as note:
            self.installation.up("--scale", "worker=3")
            workers = self.installation.containers()["worker"]
            require(len(workers) == 3, f"{len(workers)} workers")
            wait_for(
                lambda: all(has_ingested(each["Id"]) for each in workers), "each worker to store a batch"
            )
            note("three workers, each of which has stored batches")

    def upgrade(self) -> None:
        """A new image with a migration more, as `git pull` brings them; the load goes on meanwhile."""
        folder = self.installation.folder / "monitoring/migrations"
        last = max(path.stem for path in folder.glob("0*.py"))
        with self.step("upgrade under load: new image, migrate") as note:
            (folder / "9999_upgrade.py").write_text(NEW_MIGRATION.format(last=last))
            seconds = self.installation.up("--build")
            new = self.installation.shell(
                f"docker image inspect -f '{{{{.Id}}}}' {self.installation.image}"
            ).strip()
            for service in ("web", "bridge", "worker", "beat", "flower"):
                for container in self.installation.containers()[service]:
                    require(container["Image"] == new, f"{service} still runs the old image")
            require(
                self.installation.sql("SELECT obj_description('monitoring_sensor'::regclass)")
                == [["upgraded"]],
                "the new migration was not applied",
            )
            self.wait_for_more("messages stored after the upgrade")
            note(f"{seconds:.0f} s, built and healthy")

    def end_load(self) -> None:
        assert self.load is not None
        with self.step("every acknowledged message is stored, once") as note:
            rate = self.load.rate()
            self.load.end()
            books = self.api.at_rest()
            outcome = self.load.outcome()
            note(
                f"{outcome.acknowledged:,} acknowledged at {rate:.0f}/s; {len(KILLED)} kills: "
                f"{outcome.lost} lost, {outcome.doubled} doubled, {outcome.changed} changed"
            )
            ledger = books["ledger"]
            note(
                f"the books: {books['handed_over']:,} handed over = {ledger['messages']:,} in the ledger; "
                f"{ledger['stored']:,} stored, {ledger['duplicates']:,} duplicates, {ledger['rejected']:,} "
                f"rejected; {books['redelivered']:,} recognised as sent again"
            )
            require(outcome.acknowledged > 1000, "too little was sent to tell")
            require(outcome[1:] == (0, 0, 0), "messages were lost or doubled")
            require(ledger["rejected"] == 0, f"rejected: {books['rejected_by_code']}")

    # --- what lasts ------------------------------------------------------------------------------

    def down_and_up(self) -> None:
        with self.step("docker compose down, and up again: the data is there") as note:
            before = self.fingerprint()
            secrets = confinement.secrets(self.installation)
            books = self.api.at_rest()
            self.installation.compose("down")
            require(not self.installation.containers(), "containers are left")
            seconds = self.installation.up()
            require(self.fingerprint() == before, "the measurements are not those from before")
            require(confinement.secrets(self.installation) == secrets, "the passwords are others")
            after = self.api.at_rest()
            require(after["handed_over"] == books["handed_over"], "the books begin anew")
            note(f"{int(before[0][0]):,} measurements, the same passwords; healthy after {seconds:.0f} s")

    def fingerprint(self, installation: Installation | None = None) -> list[list[str]]:
        """Number and digest of all measurements."""
        return (installation or self.installation).sql(
            "SELECT count(*), md5(string_agg(m::text, ';' ORDER BY created_at, id))"
            " FROM monitoring_measurement m"
        )

    def second_installation(self, second: Installation) -> None:
        with self.step("secrets that are too weak are refused") as note:
            confinement.refuses_bad_secrets(second, note)

    def restore(self, second: Installation) -> None:
        dump = "docker compose exec -T db pg_dump -U iot -Fc iot >iot.dump"
        restore = "docker compose exec -T db pg_restore -U iot -d iot --exit-on-error <iot.dump"
        with self.step("pg_dump, and restore into a second installation") as note:
            self.installation.shell(dump)
            size = (self.installation.folder / "iot.dump").stat().st_size
            (self.installation.folder / "iot.dump").rename(second.folder / "iot.dump")
            second.compose("up", "-d", "db")
            wait_for(lambda: second.is_healthy("db"), "the second database")
            second.shell(restore)
            second.compose("up", "-d", "web")
            wait_for(lambda: second.is_healthy("web"), "the second web process")
            require(self.fingerprint(second) == self.fingerprint(), "the restored measurements differ")
            api = Api(second, SUPERUSER["DJANGO_SUPERUSER_USERNAME"], SUPERUSER["DJANGO_SUPERUSER_PASSWORD"])
            require(
                api.get("sensors/3/last/") == self.api.get("sensors/3/last/"),
                "the API gives another last value",
            )
            note(f"{size / 1e6:.1f} MB; the same measurements, sensors and users")

    def tls(self) -> None:
        with self.step("MQTT over TLS: the override, a device on 8883") as note:
            installation = self.installation
            installation.shell("deploy/make-certificates")
            installation.set(COMPOSE_FILE="docker-compose.yml:deploy/docker-compose.tls.yml")
            seconds = installation.up()
            require(not doors.answers("127.0.0.1", installation.mqtt_port), "plain MQTT is still published")
            load = Load(installation, self.accounts[:1], installation.folder / "deploy/certificates/ca.crt")
            load.start()
            self.wait_for_more("messages that came over TLS")
            load.end()
            self.api.at_rest()
            outcome = load.outcome()
            require(outcome[1:] == (0, 0, 0), f"over TLS: {outcome}")
            note(
                f"{outcome.acknowledged} messages, all stored; healthy after {seconds:.0f} s; 1883 is closed"
            )


def has_ingested(container: str) -> bool:
    return " stored" in run(["docker", "logs", container]).stderr


def stop(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="leave it running")
    options = parser.parse_args()
    if run(["docker", "info"]).returncode != 0:
        sys.exit("docker-test: no Docker engine answers (docker info)")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    transcript = Transcript()
    with tempfile.TemporaryDirectory(prefix="iot-docker-test-") as folder:
        name = f"iot-test-{os.getpid()}"
        installations = [
            Installation(Path(folder) / which, f"{name}-{which}", f"{name}:latest", SUPERUSER)
            for which in ("first", "second")
        ]
        try:
            everything(Run(transcript, installations[0]), installations[1])
        except (Failure, OSError) as failure:
            transcript.say(f"\n{failure}\n")
            for installation in installations:
                transcript.say(installation.logs())
            sys.exit(1)
        finally:
            if options.keep:
                input(f"it runs in {folder}; Enter takes it down ")
            for installation in installations:
                installation.remove()
        transcript.say(f"all of it holds, in {transcript.seconds():.0f} s")


def everything(steps: Run, second: Installation) -> None:
    steps.build()
    steps.start()
    steps.use()
    steps.look_from_outside()
    steps.start_load()
    for service in KILLED:
        steps.kill(service)
    steps.scale()
    steps.upgrade()
    steps.end_load()
    steps.down_and_up()
    steps.second_installation(second)
    steps.restore(second)
    steps.tls()


if __name__ == "__main__":
    main()
