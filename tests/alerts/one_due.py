"""The job that evaluates what is due, as a process that a failpoint may kill; three pairs a piece."""

import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
django.setup()

from monitoring.alerts import due  # noqa: E402
from monitoring.store import batch_store  # noqa: E402
from monitoring.upkeep.pieces import TimeShare  # noqa: E402

due.PIECE = 3
due.job(batch_store(), TimeShare())
