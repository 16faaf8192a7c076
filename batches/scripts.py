"""The scripts of batches/lua: each is done by Redis whole or not at all."""

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from redis import Redis
from redis.exceptions import ReadOnlyError

if TYPE_CHECKING:
    from redis.commands.core import Script

_scripts: "dict[str, Script]" = {}


def run(redis: "Redis", name: str, keys: list[str], args: Sequence[Any] = ()) -> Any:
    """What the script `name` returns. Raises redis.RedisError."""
    script = _scripts.get(name)
    if script is None:
        source = files("batches").joinpath("lua", f"{name}.lua").read_text()
        script = _scripts[name] = redis.register_script(source)
    try:
        return script(keys, args, client=redis)
    except ReadOnlyError:
        # After a failover its name leads to another server; an open connection stays with this one.
        redis.connection_pool.disconnect()
        raise
