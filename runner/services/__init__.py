"""PostgreSQL, Redis and an MQTT broker, real ones, each in a data folder of its own on 127.0.0.1."""

from runner.services.base import Binaries, Service, ServiceError
from runner.services.mqtt import Broker
from runner.services.postgres import Postgres
from runner.services.redis import Redis

__all__ = ["Binaries", "Broker", "Postgres", "Redis", "Service", "ServiceError"]
