"""What beat has done so that the tables stay as they should: partitions, retention, removals, the ledger."""
