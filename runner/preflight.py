"""Health checks of the services that a person named by URL, before anything is started.

Addresses are parsed, and TLS is set up, by the code that the processes use: what passes here works there.
"""

import secrets
import ssl
import time

import paho.mqtt.client as paho
import psycopg2
import redis
from paho.mqtt.enums import CallbackAPIVersion

from bridge import tls
from bridge.lines import line
from bridge.settings import BridgeSettings
from process import address
from runner.problem import Problem
from runner.settings import RunSettings

SECONDS = 5
OLDEST_POSTGRESQL = 150000
PROTOCOLS = {"5": paho.MQTTv5, "3.1.1": paho.MQTTv311}


def check(name: str, env: RunSettings) -> None:
    """`name` is DATABASE_URL, REDIS_URL or MQTT_URL, read before. Raises Problem; never shows a password."""
    ask = {"DATABASE_URL": _postgres, "REDIS_URL": _redis, "MQTT_URL": _mqtt}[name]
    try:
        ask(env)
    except Exception as error:
        url = env[name]
        reason = address.without_secrets(" ".join(str(error).split()) or type(error).__name__, url)
        raise Problem(
            f"{name}: no answer from {address.host_and_port(url)}: {reason} "
            f"(start it or mend {name}; without {name}, `make run` brings its own)"
        ) from None


def _postgres(env: RunSettings) -> None:
    given = address.postgres_parameters(env["DATABASE_URL"])
    connection = psycopg2.connect(**{"connect_timeout": SECONDS} | given)
    version = connection.server_version
    connection.close()
    if version < OLDEST_POSTGRESQL:
        raise ValueError(f"it is PostgreSQL {version // 10000}; 15 is the oldest that will do")


def _redis(env: RunSettings) -> None:
    url = env["REDIS_URL"]
    client = redis.Redis.from_url(url, socket_connect_timeout=SECONDS, socket_timeout=SECONDS, retry=None)
    try:
        client.ping()
    finally:
        client.close()


def _mqtt(env: RunSettings) -> None:
    """Connects with a session that ends with the connection; in MQTT 5, then 3.1.1, as the bridge does."""
    settings = env.bridge
    versions = [settings.address.version] if settings.address.version else list(PROTOCOLS)
    for version in versions:
        refusal = _refusal(settings, version)
        if refusal is None:
            return
        if refusal and "version" not in refusal.lower():
            break
    if settings.address.tls and not refusal:
        raise ConnectionError(line(settings.language, "tls closed", settings.address))
    raise ConnectionError(refusal or "it closed the connection; is it an MQTT broker, and the scheme right?")


def _refusal(settings: BridgeSettings, version: str) -> str | None:
    """Why the broker refuses CONNECT, empty where it does not say; None where it accepts. Raises OSError."""
    answers: list[str] = []
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=f"preflight-{secrets.token_hex(6)}",
        protocol=PROTOCOLS[version],
        reconnect_on_failure=False,
    )
    client.connect_timeout = SECONDS
    client.on_connect = lambda _client, _data, _flags, code, _properties: answers.append(
        str(code) if code.is_failure else ""
    )
    broker = settings.address
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password)
    if broker.tls:
        client.tls_set_context(settings.tls.context())
    ends = time.monotonic() + SECONDS
    try:
        client.connect(broker.host, broker.port)
        while not answers and client.loop(0.2) == paho.MQTT_ERR_SUCCESS:
            if time.monotonic() > ends:
                raise TimeoutError(f"not a word of MQTT within {SECONDS} s")
    except ssl.SSLError as error:
        key, said = tls.explain(error)
        raise ConnectionError(line(settings.language, key, broker, said)) from None
    finally:
        client.disconnect()
    return (answers[0] or None) if answers else ""
