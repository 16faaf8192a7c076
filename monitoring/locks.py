"""The keys of all our advisory locks in PostgreSQL, in order: each keeps one kind of work to one worker.

A batch that a worker goes through carefully has a lock of its own, whose key is the last 63 bits of its id.
"""

# The set of partitions is changed.
PARTITIONS = 0x696F7401
# A database is set up (manage.py first_run).
FIRST_RUN = 0x696F7402
# The ledger is counted into totals.
FOLD = 0x696F7403
# Partitions that were kept long enough are dropped.
DROP = 0x696F7404
# Rows that were kept long enough are deleted.
EXPIRE = 0x696F7405
# Sensors are removed, with all that was theirs.
REMOVE = 0x696F7406
# False readings are deleted.
DELETE = 0x696F7407
# Sensors are deleted; shared, by every transaction that stores for some (migration 0008 has the number too).
SENSORS = 0x696F7408
# The books are corrected.
CORRECT = 0x696F7409
# Sensors are made under ids chosen elsewhere.
REGISTER = 0x696F740A
# Jobs on rejected messages are worked at.
JOBS = 0x696F740B
# What the status of sensors is.
STATUS = 0x696F740C
# Alerts that are due are evaluated.
ALERTS = 0x696F740D
# What is told of alerts is sent.
OUTBOX = 0x696F740E
# The rollups are refreshed.
REFRESH = 0x696F7410
