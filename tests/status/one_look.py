"""The job that looks at sensors, as a process that a failpoint may kill; three sensors a piece."""

import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
django.setup()

from monitoring.status import looking  # noqa: E402
from monitoring.store import batch_store  # noqa: E402
from monitoring.upkeep.pieces import TimeShare  # noqa: E402

looking.PIECE = 3
looking.job(batch_store(), TimeShare())
