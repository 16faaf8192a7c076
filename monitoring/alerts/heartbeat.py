"""A dead man's switch: while all is well here, an address elsewhere gets a heartbeat, once a minute.

The service there raises the alarm when the heartbeat stops: this installation cannot, once it is down.
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
    """Sends the heartbeat, where it is due; returns whether it was sent. Raises nothing.

    By calling this, the job shows that it runs itself. None is sent while what comes in is not stored, or
    nobody knows whether it is: then something is wrong.
    """
    url = settings.ALERTS_HEARTBEAT_URL
    if not url or reach(store, now).is_behind(now):
        return False
    with contextlib.suppress(RedisError, OSError):
        # Ten seconds less, for the job comes every ten.
        if not store.redis.set(_ASKED, 1, nx=True, ex=EVERY_S - 10):
            return False
        try:
            http.get(url, may_be_private=True)
        except NotSentError as error:
            logger.warning("the heartbeat to ALERTS_HEARTBEAT_URL failed: %s", error.why)
            return False
        return True
    return False
