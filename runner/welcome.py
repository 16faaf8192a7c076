"""What `make run` says when all is up: where to look, and two lines to try."""

from collections.abc import Mapping

from bridge.address import MqttAddress
from process.said import _, speaker
from runner import machine
from runner.services.base import binaries_from_environment
from runner.settings import RunSettings

EXAMPLE = '{"sensor_id": 3, "type": "light", "value": 2.57, "unit": "V"}'


def welcome(env: RunSettings, values: Mapping[str, str]) -> str:
    """The table, without a newline at its end. `values` are the children's variables."""
    say = speaker(env["LANGUAGE_CODE"])
    web = f"http://{machine.in_url(machine.reachable(env['WEB_LISTEN']))}:{env.web_port}"
    broker = MqttAddress.parse(values["MQTT_URL"])
    topic = values["MQTT_TOPICS"].split(",")[0].strip()
    password = env.data_dir / "admin-password"
    if password.exists():
        login = f"admin / {password.read_text().strip()}"
    else:
        login = say(_("the admin user that was there before (manage.py changepassword sets a new password)"))
    data = env.shown(env.data_dir)
    reach = "" if env["MQTT_URL"] else _spoken() + _reach(env, env["MQTT_LISTEN"])
    rows = [
        (_("Dashboard"), f"{web}/"),
        (_("Admin"), f"{web}/admin/"),
        (_("Login"), login),
        (_("API"), f"{web}/api/monitoring/sensors/"),
        (_("API docs"), f"{web}/api/docs/"),
        *_from_elsewhere(env),
        (_("Tasks (Flower)"), f"http://127.0.0.1:{env.flower_port}/"),
        (_("MQTT broker"), f"{broker}, topic {topic}{reach}"),
        (_("Data"), say(_("%s (delete it to start afresh)")) % data),
        (_("Stop"), "Ctrl-C"),
        (_("This again"), say(_("Enter"))),
    ]
    account = f" -u '{broker.username}' -P …" if broker.username else ""
    ca = values.get("MQTT_CA_FILE")
    secure = (f" --cafile {ca}" if ca else " --tls-use-os-certs") if broker.tls else ""
    send = say(_("Send a measurement, see it on the dashboard, and read it back:"))
    table = "\n".join(f"  {say(name):<16}{value}" for name, value in rows)
    return (
        f"\n{table}\n\n"
        f"  {send}\n"
        f"  mosquitto_pub -h {broker.host} -p {broker.port}{account}{secure} -q 1 -t {topic} -m '{EXAMPLE}'\n"
        f"  curl {web}/api/monitoring/sensors/3/last/\n"
    )


def _spoken() -> str:
    """A client that insists on MQTT 5 is refused by the broker of the wheel."""
    return " (MQTT 3.1.1)" if binaries_from_environment() == "wheels" else ""


def _reach(env: RunSettings, listen: str, reads: bool = False) -> str:
    if not machine.is_open(listen):
        return ""
    text = _("listens on %s: open to that network")
    if reads:
        text = _("listens on %s: open to that network; reading measurements takes no token")
    return f" ({speaker(env['LANGUAGE_CODE'])(text) % listen})"


def _from_elsewhere(env: RunSettings) -> list[tuple[str, str]]:
    """How the site is reached from other machines, where it is; and what that leaves open."""
    listen, known = env["WEB_LISTEN"], [name.strip() for name in env["ALLOWED_HOSTS"].split(",")]
    if not machine.is_open(listen):
        return []
    reach = _reach(env, listen, env["API_PUBLIC_READ"] == "1")
    hosts = [machine.in_url(host) for host in (*machine.addresses(listen), *machine.names())]
    for host in hosts:
        if host in known or "*" in known:
            return [(_("From elsewhere"), f"http://{host}:{env.web_port}/{reach}")]
    text = speaker(env["LANGUAGE_CODE"])(_("under the names in ALLOWED_HOSTS alone; add %s"))
    return [(_("From elsewhere"), text % hosts[0] + reach)]
