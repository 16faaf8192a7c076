"""A dead man's switch: while all is well here, an address elsewhere is asked once a minute.

Whoever watches it says so when that ends: this installation cannot, once it is down.
"""

import contextlib
import logging
from datetime import datetime

from django.conf import settings
from redis.exceptions import RedisError

from batches.store import BatchStore
from monitoring.alerts.channels import http
from monitoring.alerts.channels.outcome import NotSentError
from monitoring.status.reach import reach

logger = logging.getLogger(__name__)

EVERY_S = 60
_ASKED = "iot:alerts:heartbeat"


def beat(store: BatchStore, now: datetime) -> bool:
    """Whether it was asked just now; raises nothing. The job that calls this shows by it that it runs.

    Not while what is sent is not stored, or nobody knows: then something is wrong.
    """
    url = settings.ALERTS_HEARTBEAT_URL
    if not url or reach(store, now).is_behind(now):
        return False
    with contextlib.suppress(RedisError, OSError):
        # Five seconds less, for the job comes every five.
        if not store.redis.set(_ASKED, 1, nx=True, ex=EVERY_S - 5):
            return False
        try:
            http.get(url, may_be_private=True)
        except NotSentError as error:
            logger.warning("the heartbeat to ALERTS_HEARTBEAT_URL failed: %s", error.why)
            return False
        return True
    return False
