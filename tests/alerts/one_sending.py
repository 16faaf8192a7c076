"""The job that sends what is told of alerts, as a process that a failpoint may kill."""

import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
django.setup()

from monitoring.alerts import outbox  # noqa: E402
from monitoring.upkeep.pieces import TimeShare  # noqa: E402

outbox.work(TimeShare(20))
