"""What `make run` says when all is up: where to look, and two lines to try."""

from collections.abc import Mapping

from bridge.address import MqttAddress
from runner import machine
from runner.services.base import binaries_from_environment
from runner.settings import RunSettings

EXAMPLE = '{"sensor_id": 3, "type": "light", "value": 2.57, "unit": "V"}'


def welcome(env: RunSettings, values: Mapping[str, str]) -> str:
    """The table, without a newline at its end. `values` are the children's variables."""
    web = f"http://{machine.in_url(machine.reachable(env['WEB_LISTEN']))}:{env.web_port}"
    broker = MqttAddress.parse(values["MQTT_URL"])
    topic = values["MQTT_TOPICS"].split(",")[0].strip()
    password = env.data_dir / "admin-password"
    if password.exists():
        login = f"admin / {password.read_text().strip()}"
    else:
        login = "the admin user that was there before (manage.py changepassword sets a new password)"
    data = env.shown(env.data_dir)
    reach = "" if env["MQTT_URL"] else _spoken() + _reach(env["MQTT_LISTEN"])
    rows = [
        ("Dashboard", f"{web}/"),
        ("Admin", f"{web}/admin/"),
        ("Login", login),
        ("API", f"{web}/api/monitoring/sensors/"),
        ("API docs", f"{web}/api/docs/"),
        *_from_elsewhere(env),
        ("Tasks (Flower)", f"http://127.0.0.1:{env.flower_port}/"),
        ("MQTT broker", f"{broker}, topic {topic}{reach}"),
        ("Data", f"{data} (delete it to start afresh)"),
        ("Stop", "Ctrl-C"),
        ("This again", "Enter"),
    ]
    account = f" -u '{broker.username}' -P …" if broker.username else ""
    ca = values.get("MQTT_CA_FILE")
    secure = (f" --cafile {ca}" if ca else " --tls-use-os-certs") if broker.tls else ""
    table = "\n".join(f"  {name:<16}{value}" for name, value in rows)
    return (
        f"\n{table}\n\n"
        "  Send a measurement, see it on the dashboard, and read it back:\n"
        f"  mosquitto_pub -h {broker.host} -p {broker.port}{account}{secure} -q 1 -t {topic} -m '{EXAMPLE}'\n"
        f"  curl {web}/api/monitoring/sensors/3/last/\n"
    )


def _spoken() -> str:
    """A client that insists on MQTT 5 is refused by the broker of the wheel."""
    return " (MQTT 3.1.1)" if binaries_from_environment() == "wheels" else ""


def _reach(listen: str, more: str = "") -> str:
    return f" (listens on {listen}: open to that network{more})" if machine.is_open(listen) else ""


def _from_elsewhere(env: RunSettings) -> list[tuple[str, str]]:
    """How the site is reached from other machines, where it is; and what that leaves open."""
    listen, known = env["WEB_LISTEN"], [name.strip() for name in env["ALLOWED_HOSTS"].split(",")]
    if not machine.is_open(listen):
        return []
    reading = "; reading measurements takes no token" if env["API_PUBLIC_READ"] == "1" else ""
    hosts = [machine.in_url(host) for host in (*machine.addresses(listen), *machine.names())]
    for host in hosts:
        if host in known or "*" in known:
            return [("From elsewhere", f"http://{host}:{env.web_port}/{_reach(listen, reading)}")]
    return [
        ("From elsewhere", f"under the names in ALLOWED_HOSTS alone; add {hosts[0]}{_reach(listen, reading)}")
    ]
