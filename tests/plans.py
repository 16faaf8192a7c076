"""How PostgreSQL would go about a statement."""

import re

from django.db import connection


def plan(statement: str, without: tuple[str, ...] = ()) -> str:
    """By what its tables hold now, in a transaction.

    What earlier tests stored left its counts with the tables, though the rows are gone; of two indexes
    that cost the same by these, either may be taken.

    Args:
        statement: As it was sent, with its values in it.
        without: What the planner is to avoid (`seqscan`, `bitmapscan`, `sort`, ...): a test's few rows are
            read and sorted at once, and what counts is what would be done with many.
    """
    with connection.cursor() as cursor:
        for table in sorted(set(re.findall(r"\bmonitoring_\w+", statement))):
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [table])
            if cursor.fetchone()[0]:
                cursor.execute(f"ANALYZE {table}")
        for way in without:
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute(f"EXPLAIN {statement}")
        return "\n".join(line for (line,) in cursor.fetchall())
