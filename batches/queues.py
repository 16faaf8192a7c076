"""What Celery's queues and the tasks that batches need are called: whoever sends, routes or serves them."""

INGEST_QUEUE = "ingest"
# All other jobs: they take seconds, minutes at worst. Another worker takes them, so that no batch waits.
UPKEEP_QUEUE = "upkeep"

INGEST_TASK = "monitoring.ingest_batch"
RESEND_TASK = "monitoring.resend_overdue"
