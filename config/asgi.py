"""The ASGI application that uvicorn serves."""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

from config.body_limit import BodyLimit
from monitoring.store import pulse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# What the admin's forms take; readings take less by far.
application = BodyLimit(get_asgi_application(), settings.DATA_UPLOAD_MAX_MEMORY_SIZE)

pulse("web").beat_in_a_thread()
