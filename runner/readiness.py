"""Readiness checks: whether a process of the Procfile is at work."""

import http.client
from collections.abc import Callable, Mapping

import redis

from process.heartbeat import PROCESSES, bridge_process, forget, is_beating
from runner import machine, ports
from runner.settings import RunSettings


def _web(host: str, port: int) -> bool:
    """Whether it answers; 400 is an answer: ALLOWED_HOSTS need not name what we ask it by."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Readiness:
    """Asks each process in its own way; one that has no way is ready as soon as it runs."""

    def __init__(self, env: RunSettings, redis_url: str) -> None:
        self._redis = redis.Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2)
        self._beat_as = {name: name for name in PROCESSES} | {"bridge": bridge_process(env.bridge.name)}
        self._checks: Mapping[str, Callable[[], bool]] = {
            **{name: lambda name=name: self._beats(name) for name in self._beat_as},  # type: ignore[misc]
            "web": lambda: _web(machine.reachable(env["WEB_LISTEN"]), env.web_port),
            "flower": lambda: ports.answers(env.flower_port),
        }

    def forget(self) -> None:
        """Remove the heartbeats of an earlier run: they outlive it by some seconds."""
        forget(self._redis, self._beat_as.values())

    def of(self, name: str) -> bool:
        check = self._checks.get(name)
        return check is None or check()

    def _beats(self, name: str) -> bool:
        try:
            return is_beating(self._redis, self._beat_as[name])
        except redis.RedisError:
            return False
