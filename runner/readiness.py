"""How to tell that a process of the Procfile is at work."""

import http.client
from collections.abc import Callable, Mapping

import redis

from process.heartbeat import PROCESSES, bridge_process, forget, is_beating
from runner import ports


def _web(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Readiness:
    """Asks each process in its own way; one that has no way is ready as soon as it runs."""

    def __init__(self, redis_url: str, web_port: int, flower_port: int, bridge: str = "") -> None:
        """`bridge`: its name (BRIDGE_NAME), under which it beats."""
        self._redis = redis.Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2)
        self._beat_as = {name: name for name in PROCESSES} | {"bridge": bridge_process(bridge)}
        self._checks: Mapping[str, Callable[[], bool]] = {
            **{name: lambda name=name: self._beats(name) for name in self._beat_as},  # type: ignore[misc]
            "web": lambda: _web(web_port),
            "flower": lambda: ports.answers(flower_port),
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
