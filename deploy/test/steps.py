"""What is done to an installation, step by step; each step leaves it as the next expects it."""

import json
import os
import re
import statistics
import time
from typing import Any

from deploy.test import confinement, doors
from deploy.test.api import Api
from deploy.test.broker import User
from deploy.test.documents import block, line
from deploy.test.installation import BEFORE, LASTING, Installation, run
from deploy.test.load import Account, Load, add_device
from deploy.test.transcript import Failure, Transcript, require, wait_for

# All but the broker: what it loses when it is killed is its own matter; docs/containers.md has figures.
KILLED = ("db", "redis", "web", "bridge", "worker", "upkeep", "beat", "flower")
PAGE = "docs/containers.md"
# Somebody else's broker, which asks for no password.
ELSEWHERE = """
services:
  elsewhere:
    image: eclipse-mosquitto:2
    command:
      - sh
      - -c
      - printf 'listener 1883\\nallow_anonymous true\\n' >/tmp/open.conf; exec mosquitto -c /tmp/open.conf
"""
# Messages that come between a dump and its being restored.
FORGOTTEN = 7
ELSEWHERE_SAID = '{"sensor_id": 1, "value": 21.5}'
NEW_MIGRATION = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("monitoring", "{last}")]
    operations = [migrations.RunSQL("COMMENT ON TABLE monitoring_sensor IS 'upgraded'", "")]
"""


class Steps:
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
        with self.step("README.md: a measurement through the mosquitto container, read from the API") as note:
            # The port alone is not the one of the page.
            send = block(self.installation, "README.md", "exec mosquitto sh")
            send = send.replace("localhost:8000", f"localhost:{self.installation.web_port}")
            last = wait_for(lambda: stored(self.installation.shell(send)), "the measurement in the API")
            require((last["sensor"], last["value"], last["unit"]) == (3, 2.57, "V"), f"the API says {last}")
            note(str(last))
        with self.step("README.md: createsuperuser --noinput, and the shell") as note:
            look = block(self.installation, "README.md", "createsuperuser")
            printed = self.installation.shell(look)
            require("Superuser created" in printed and "2.57" in printed, f"they print {printed!r}")
            user = re.search(r"DJANGO_SUPERUSER_PASSWORD=(\S+).*--username (\S+)", look, re.DOTALL)
            if user is None:
                raise Failure("README.md gives no name and password")
            self.api = Api.login(self.installation, user[2], user[1])
            note(printed.splitlines()[-1])
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
            first, second = (add_device(self.installation, f"board-{n}", n) for n in (1, 2))
            self.accounts = [first, second, self.demo()]
            bridge = ("bridge", self.secrets["mosquitto/bridge"])
            doors.who_may_write_what(self.installation, self.accounts[2], first, second, bridge, note)

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
                )

            wait_for(is_back, f"{service} to come back")
            self.wait_for_more(f"messages stored after {service} was killed")
            note(f"back, and messages stored, after {time.monotonic() - began:.1f} s")

    def recover(self) -> None:
        with self.step("every container is healthy again"):
            wait_for(self.installation.is_healthy, "every container to be healthy", 180)

    def scale(self) -> None:
        with self.step("docker compose up --scale worker=3, under load") as note:
            began = time.monotonic()
            self.installation.shell(line(self.installation, PAGE, "--scale worker=3"))
            wait_for(self.installation.is_healthy, "three healthy workers", 180)
            workers = self.installation.containers()["worker"]
            require(len(workers) == 3, f"{len(workers)} workers")
            wait_for(
                lambda: all(has_ingested(each["Id"]) for each in workers), "each worker to store a batch"
            )
            note(f"three workers healthy, and each has stored, after {time.monotonic() - began:.0f} s")

    def upgrade(self) -> None:
        """A new image with a migration more, as `git pull` brings them; the load goes on meanwhile."""
        folder = self.installation.folder / "monitoring/migrations"
        last = max(path.stem for path in folder.glob("0*.py"))
        with self.step("upgrade under load: new image, migrate") as note:
            self.installation.shell(
                f"docker tag {self.installation.image} {self.installation.image}:{BEFORE}"
            )
            (folder / "9999_upgrade.py").write_text(NEW_MIGRATION.format(last=last))
            kept = {
                name: self.installation.containers()[name][0]["Id"] for name in ("db", "redis", "mosquitto")
            }
            began = time.monotonic()
            self.installation.shell(line(self.installation, PAGE, "up -d --build"))
            wait_for(self.installation.is_healthy, "the new containers to be healthy", 180)
            seconds = time.monotonic() - began
            new = self.installation.shell(
                f"docker image inspect -f '{{{{.Id}}}}' {self.installation.image}"
            ).strip()
            for service in ("web", "bridge", "worker", "upkeep", "beat", "flower"):
                for each in self.installation.containers()[service]:
                    require(each["Image"] == new, f"{service} still runs the old image")
            for service, container in kept.items():
                now = self.installation.containers()[service][0]["Id"]
                require(now == container, f"the upgrade replaced {service} too")
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

    def as_it_keeps(self) -> None:
        """What Redis itself says it does with what waits in it."""
        asked = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": ""}
        with self.step("Redis writes before it answers, and throws nothing away") as note:
            ask = 'REDISCLI_AUTH=$(cat /run/iot/password) exec redis-cli CONFIG GET "$@"'
            said = self.installation.exec("redis", "sh", "-c", ask, "-", *asked, "maxmemory").splitlines()
            found = dict(zip(said[::2], said[1::2], strict=True))
            maxmemory = int(found.pop("maxmemory"))
            require(found == asked, f"Redis says {found}")
            (redis,) = self.installation.containers()["redis"]
            limit = redis["HostConfig"]["Memory"]
            require(0 < maxmemory < limit, f"it may hold {maxmemory} bytes, its container {limit}")
            note(f"holds at most {maxmemory >> 20} MiB, in a container of {limit >> 20} MiB")

    def two_bridges(self) -> None:
        with self.step("docs/containers.md: two bridges by topic") as note:
            override = self.installation.folder / "docker-compose.override.yml"
            override.write_text(block(self.installation, PAGE, "bridge-boards", "yaml"))
            self.installation.compose("up", "-d")
            both = (*LASTING, "bridge-boards")
            wait_for(lambda: self.installation.is_healthy(*both), "both bridges to be healthy", 180)
            self.installation.sql("CREATE TABLE of_before AS SELECT id FROM monitoring_ingestbatch")
            load = Load(self.installation, self.accounts)
            load.start()
            self.wait_for_more("messages through both bridges")
            load.end()
            self.api.at_rest()
            outcome = load.outcome()
            require(outcome[1:] == (0, 0, 0), f"through two bridges: {outcome}")
            came = self.installation.sql(
                "SELECT source, sum(messages) FROM monitoring_ingestbatch"
                " WHERE id NOT IN (TABLE of_before) AND source LIKE 'mqtt:%' GROUP BY 1 ORDER BY 1"
            )
            self.installation.sql("DROP TABLE of_before")
            require([source for source, _ in came] == ["mqtt:boards", "mqtt:default"], f"came: {came}")
            override.unlink()
            self.installation.compose("up", "-d", "--remove-orphans")
            wait_for(self.installation.is_healthy, "every container to be healthy", 180)
            note(", ".join(f"{source} {messages}" for source, messages in came))

    def demo_board(self) -> None:
        with self.step("docker compose --profile demo: a simulated board") as note:
            before = self.api.in_ledger()
            self.installation.compose("--profile", "demo", "up", "-d", "simulator")
            # Three sensors, every two seconds.
            wait_for(lambda: self.api.in_ledger() >= before + 6, "two rounds of the simulated board")
            self.installation.compose("--profile", "demo", "rm", "-sf", "simulator")
            books = self.api.at_rest()
            require(books["ledger"]["rejected"] == 0, f"rejected: {books['rejected_by_code']}")
            note(f"{books['ledger']['messages'] - before} messages stored")

    def fingerprint(self) -> list[list[str]]:
        """Number and digest of all measurements."""
        return self.installation.sql(
            "SELECT count(*), md5(string_agg(m::text, ';' ORDER BY created_at, id))"
            " FROM monitoring_measurement m"
        )

    def restore(self) -> None:
        with self.step("docs/containers.md: pg_dump, and restore") as note:
            before = self.fingerprint()
            last = self.api.get("sensors/3/last/")
            self.installation.shell(line(self.installation, PAGE, "pg_dump"))
            size = (self.installation.folder / "iot.dump").stat().st_size
            self.round_trip(FORGOTTEN)
            self.installation.sql("TRUNCATE monitoring_measurement, monitoring_ingestbatch, monitoring_token")
            require(self.fingerprint() != before, "the database holds the same after it was emptied")
            self.installation.shell(block(self.installation, PAGE, "pg_restore"))
            wait_for(self.installation.is_healthy, "every container to be healthy", 180)
            require(self.fingerprint() == before, "the restored measurements differ")
            require(self.api.get("sensors/3/last/") == last, "the API gives another last value")
            require(not self.api.get("pipeline/")["balanced"], "what the dump lacks is not missed")
            self.installation.shell(line(self.installation, PAGE, "correct_books"))
            corrected = self.api.at_rest()["corrected"]
            require(corrected == FORGOTTEN, f"the books were corrected by {corrected}")
            note(f"{FORGOTTEN} messages came after the dump, and are missed; the books are corrected")
            note(f"{int(before[0][0]):,} measurements, {size / 1e6:.1f} MB; the same again, tokens too")

    def second_installation(self, second: Installation) -> None:
        with self.step("secrets that are too weak are refused") as note:
            confinement.refuses_bad_secrets(second, note)
        with self.step("a second installation has other secrets") as note:
            second.compose("run", "--rm", "-T", "credentials")
            others = confinement.secrets(second)
            same = [name for name, value in others.items() if value == self.secrets[name]]
            require(not same, f"both installations have the same {', '.join(same)}")
            note(f"{len(others)} secrets, each another")

    def other_broker(self, second: Installation) -> None:
        with self.step("MQTT_URL in .env, and nothing else: another broker is used") as note:
            (second.folder / "docker-compose.override.yml").write_text(ELSEWHERE)
            second.set(MQTT_URL="mqtt://elsewhere:1883")
            services = ("web", "bridge", "worker")
            seconds = second.up("elsewhere", *services, healthy=services)
            second.exec(
                "elsewhere", "mosquitto_pub", "-q", "1", "-t", "iot/measurements", "-m", ELSEWHERE_SAID
            )
            token = second.manage("api_token", "admin").strip()
            last = wait_for(lambda: Api(second, token).get("sensors/1/last/"), "the other broker's message")
            require(last["value"] == 21.5, f"the API says {last}")
            note(f"healthy after {seconds:.0f} s; {last}")

    def tls(self) -> None:
        with self.step("docs/containers.md: MQTT over TLS, a device on 8883") as note:
            installation = self.installation
            began = time.monotonic()
            installation.shell(block(installation, PAGE, "deploy/make-certificates"))
            wait_for(installation.is_healthy, "every container to be healthy", 180)
            seconds = time.monotonic() - began
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


def stored(answer: str) -> Any:
    """A measurement; None where the API says that there is none yet."""
    found = json.loads(answer)
    return found if "value" in found else None


def has_ingested(container: str) -> bool:
    return " stored" in run(["docker", "logs", container]).stderr
