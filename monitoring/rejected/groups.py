"""What waits, in groups: many messages that have one fault are one thing to mend."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from monitoring.rejected.selection import Selection

EVERYTHING = Selection()
# What groups may be made by. By sensor, a message that names several counts for each.
COLUMNS = ("code", "sensor", "topic", "detail")


class Group(NamedTuple):
    """`messages` that wait, and the readings refused in them; what it is not grouped by is None."""

    code: str | None
    sensor: int | None
    topic: str | None
    detail: str | None
    messages: int
    readings: int
    first: datetime
    last: datetime


def groups(by: Sequence[str], which: Selection = EVERYTHING, limit: int = 1000) -> list[Group]:
    """The newest first. `by`: of COLUMNS."""
    sql, parameters = which.waiting().values("pk").query.sql_with_params()
    columns = ", ".join(name if name in by else f"NULL AS {name}" for name in COLUMNS)
    of_sensors = " LEFT JOIN LATERAL unnest(sensors) AS sensor ON true" if "sensor" in by else ""
    grouped = f" GROUP BY {', '.join(by)}" if by else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {columns}, count(*), sum(elements)::bigint, min(received_at), max(received_at)"
            f" FROM monitoring_rejectedmessage{of_sensors} WHERE id IN ({sql}){grouped}"
            " HAVING count(*) > 0 ORDER BY max(received_at) DESC, count(*) DESC LIMIT %s",
            [*parameters, limit],
        )
        return [Group(*row) for row in cursor.fetchall()]
