"""The story of a batch: from the store, through the decoders, into the database, once.

1. Claim what has been due longest, under a lease; that counts the attempt.
2. Decode every message; make the partitions that the readings need.
3. In one transaction: enter it in the ledger (there already: done before), lock its sensors, hold each
   reading against its sensor, store the measurements, keep what was rejected, complete the entry.
4. Acknowledge it: the store deletes it.

The batch store delivers at least once; the ledger makes storing a batch idempotent. After a transient error
of the infrastructure (the database away, a lock, a full disk) the batch is retried with backoff. Where
something is wrong with a message, it alone is rejected: message by message, each in a savepoint. Where
workers died three times, the next one notes each position before it touches it, to find a poison message.

work               a worker at work: batch after batch, while any is due
together           several small batches in one transaction
attempt            one attempt at a batch, and what may come of it
passing            which errors are transient, so that the batch is retried
ways               whole, message by message, carefully
settle             readings held against their sensors, and stored
refused            what is kept of the readings that were refused
progress           what has come of a batch so far, and its entry in the ledger
boards             what a batch brings of boards
after_commit       what others want to know of what was stored
columns            the fast way of plain readings
known_partitions   those that a batch needs, made before its transaction
"""

from monitoring.ingest.attempt import Attempt, End, ingest
from monitoring.ingest.work import work

__all__ = ["Attempt", "End", "ingest", "work"]
