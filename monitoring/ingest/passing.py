"""Which errors are the surroundings': nothing is wrong with the batch, and it is tried again later."""

from billiard.exceptions import SoftTimeLimitExceeded
from django.db import Error, InterfaceError
from redis.exceptions import RedisError

from monitoring.upkeep.partitions import PartitionLeavingError, TooManyPartitionsError

# Connection, rollback (deadlock), resources (disk, memory), object not in the right state (locks),
# operator (shutdown, time-out).
_SQLSTATES = ("08", "40", "53", "55", "57")


class BusyError(Exception):
    """Another worker is at this batch, carefully."""


_ERRORS = (
    InterfaceError,
    RedisError,
    TooManyPartitionsError,
    PartitionLeavingError,
    SoftTimeLimitExceeded,
    BusyError,
)


def is_passing(error: BaseException) -> bool:
    if isinstance(error, _ERRORS):
        return True
    if isinstance(error, Error):
        state = getattr(error.__cause__, "pgcode", None)
        return state is None or state.startswith(_SQLSTATES)
    return isinstance(error, MemoryError | ConnectionError)
