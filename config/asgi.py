"""The ASGI application that uvicorn serves."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_asgi_application()

from config.pulse import Pulse  # noqa: E402 -- reads the settings

Pulse("web").beat_in_a_thread()
