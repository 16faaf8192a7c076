"""What was acknowledged against what the tables hold, value by value."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import psycopg2

from prove.streams import FIRST_SENSOR, Expected, Refused, Row, Stream, all_expected


class Comparison(NamedTuple):
    """`lost`: acknowledged, and not there. `doubled`: there more often than it was sent. `wrongly_rejected`:
    kept as rejected, though it is good, or for another reason than its own."""

    lost: Counter[Expected]
    doubled: Counter[Expected]
    wrongly_rejected: Counter[Expected]

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.wrongly_rejected)


def compare(database_url: str, streams: Sequence[Stream], acknowledged: dict[int, list[int]]) -> Comparison:
    expected = all_expected(streams, acknowledged)
    timed = {one.sensor for one in expected if isinstance(one, Row) and one.created_us is not None}
    rows, refused = _found(database_url, timed)
    good: Counter[Expected] = Counter({one: count for one, count in expected.items() if isinstance(one, Row)})
    bad: Counter[Expected] = Counter(
        {one: count for one, count in expected.items() if isinstance(one, Refused)}
    )
    wrongly = Counter({one: count for one, count in refused.items() if one not in bad})
    return Comparison(
        lost=(good - rows) + (bad - refused),
        doubled=(rows - good) + (refused - bad - wrongly),
        wrongly_rejected=wrongly,
    )


def _found(database_url: str, timed: set[int]) -> tuple[Counter[Expected], Counter[Expected]]:
    rows: Counter[Expected] = Counter()
    refused: Counter[Expected] = Counter()
    connection = psycopg2.connect(database_url)
    try:
        with connection.cursor("rows") as cursor:
            cursor.itersize = 50_000
            cursor.execute(
                "SELECT sensor_id, (extract(epoch FROM created_at) * 1000000)::bigint, value"
                " FROM monitoring_measurement WHERE sensor_id >= %s",
                [FIRST_SENSOR],
            )
            rows.update(Row(sensor, at if sensor in timed else None, value) for sensor, at, value in cursor)
        with connection.cursor("refused") as cursor:
            cursor.itersize = 50_000
            cursor.execute("SELECT code, payload FROM monitoring_rejectedmessage WHERE state = 'waiting'")
            refused.update(Refused(code, bytes(payload)) for code, payload in cursor)
    finally:
        connection.close()
    return rows, refused
