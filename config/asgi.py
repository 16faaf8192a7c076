"""The ASGI application that uvicorn serves."""

import os

import django
from django.conf import settings

from config.body_limit import BodyLimit
from config.handler import Handler
from monitoring.store import pulse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

# What the admin's forms take; readings take less by far.
application = BodyLimit(Handler(settings.WEB_THREADS), settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


def _tell_viewers() -> None:
    """Of what happens to a status here: a sensor that is switched off, say."""
    from monitoring.live.publish import status_changed
    from monitoring.status import changes

    changes.listen(status_changed)


_tell_viewers()
pulse("web").beat_in_a_thread()
