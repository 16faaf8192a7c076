"""A worker at work in a process of its own, which a failpoint may kill: one_run.py."""

import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
django.setup()

from monitoring.ingest import work  # noqa: E402
from monitoring.store import batch_store  # noqa: E402

work(batch_store(), lambda made: print(made.end.value, flush=True))
