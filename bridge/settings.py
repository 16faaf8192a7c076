"""What the bridge reads from its environment, validated once, at its start."""

from collections.abc import Mapping
from dataclasses import dataclass

from marshmallow.validate import Range, Regexp

from batches import task_broker
from batches.topics import Topics, check, check_status, status_filters
from bridge.address import MqttAddress
from bridge.tls import TlsFileError, TlsFiles
from process import address
from process.environment import Environment


@dataclass(frozen=True)
class BridgeSettings:
    redis_url: str
    celery_broker_url: str
    celery_sentinel_master: str
    address: MqttAddress
    tls: TlsFiles
    topics: Topics
    status_topics: tuple[str, ...]
    """Where boards say that they are online."""
    name: str
    window: int
    """Messages that the broker may send before the first of them is acknowledged (ReceiveMaximum)."""
    batches_max_bytes: int
    lease_seconds: float
    language: str
    log_level: str
    time_zone: str

    @property
    def filters(self) -> tuple[str, ...]:
        """All that is subscribed to."""
        return tuple(dict.fromkeys((*self.topics.filters, *self.status_topics)))

    @classmethod
    def from_environment(cls, values: Mapping[str, str] | None = None) -> "BridgeSettings":
        """From the process's environment, where no values are given. Raises SettingsError."""
        env = Environment(values)
        broker, tls = _broker(env)
        topics = Topics.of(env.list("MQTT_TOPICS", ["iot/measurements"], validate=check) or ())
        status_topics = env.list("MQTT_STATUS_TOPICS", [], validate=check_status) or ()
        redis_url = env.str("REDIS_URL", validate=address.redis)
        settings = cls(
            redis_url=redis_url,
            celery_broker_url=env.str("CELERY_BROKER_URL", None, validate=task_broker.check) or redis_url,
            celery_sentinel_master=env.str("CELERY_SENTINEL_MASTER", "mymaster"),
            address=broker,
            tls=tls,
            topics=topics,
            status_topics=status_filters(status_topics, topics.filters),
            name=env.str("BRIDGE_NAME", "default", validate=Regexp(r"[\w.-]{1,64}\Z")),
            window=env.int("MQTT_RECEIVE_WINDOW", 4000, validate=Range(1, 65535)),
            batches_max_bytes=env.int("BATCHES_MAX_BYTES", 256 * 2**20, validate=Range(min=2**20)),
            lease_seconds=env.float("BATCH_LEASE_SECONDS", 30.0, validate=Range(min=0.1)),
            language=env.language(),
            log_level=env.log_level(),
            time_zone=env.time_zone(),
        )
        env.seal()
        return settings


def _broker(env: Environment) -> tuple[MqttAddress, TlsFiles]:
    """The broker's address, and what TLS to it rests on; what is wrong of them is noted in `env`."""
    tls = TlsFiles.read(env)
    if url := env.str("MQTT_URL"):
        try:
            broker = MqttAddress.parse(url)
        except ValueError as error:
            env.wrong("MQTT_URL", str(error))
        else:
            for name, why in _tls_problems(tls, broker).items():
                env.wrong(name, why)
            return broker, tls
    return MqttAddress("", 0), tls


def _tls_problems(tls: TlsFiles, broker: MqttAddress) -> dict[str, str]:
    given = {
        name
        for name, path in (("MQTT_CA_FILE", tls.ca), ("MQTT_CERT_FILE", tls.cert), ("MQTT_KEY_FILE", tls.key))
        if path
    }
    if not broker.tls:
        why = "is for mqtts:// alone, and MQTT_URL begins with mqtt://; change one or the other"
        return dict.fromkeys(given, why)
    if tls.cert and not tls.key:
        return {"MQTT_KEY_FILE": "missing: MQTT_CERT_FILE is given, and a certificate wants its key"}
    if tls.key and not tls.cert:
        return {"MQTT_CERT_FILE": "missing: MQTT_KEY_FILE is given, and a key wants its certificate"}
    try:
        tls.context()
    except TlsFileError as error:
        return {error.variable: error.why}
    return {}
