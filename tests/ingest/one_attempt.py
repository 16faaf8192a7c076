"""One attempt at a batch in a process of its own, which a failpoint may kill: one_attempt.py BATCH_ID."""

import os
import sys
from uuid import UUID

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
django.setup()

from monitoring.ingest import ingest  # noqa: E402
from monitoring.store import batch_store  # noqa: E402

print(ingest(batch_store(), UUID(sys.argv[1])).end.value)
