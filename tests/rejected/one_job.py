"""The worker of jobs on rejected messages, as a process that a failpoint may kill: one_job.py PIECE."""

import os
import sys

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
django.setup()

from monitoring.rejected import jobs  # noqa: E402
from monitoring.upkeep.pieces import TimeShare  # noqa: E402

jobs.PIECE = int(sys.argv[1])
jobs.work(TimeShare())
