"""The job that deletes false readings, as a process that a failpoint may kill: deleting_job.py PIECE."""

import os
import sys

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
django.setup()

from monitoring.upkeep import deleting  # noqa: E402
from monitoring.upkeep.pieces import TimeShare  # noqa: E402

deleting.PIECE = int(sys.argv[1])
deleting.delete_measurements(TimeShare())
