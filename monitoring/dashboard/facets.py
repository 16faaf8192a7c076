"""How many sensors there are of each state, kind and place: one look through the sensors for all three."""

from typing import NamedTuple

from django.db import connection

from monitoring.models import SensorStatus

# A choice among more than these is no choice: the search finds a place too.
MOST = 200


class Facets(NamedTuple):
    """Each by name: how many sensors. `kinds` and `places` are those that sensors have, by the alphabet."""

    states: dict[str, int]
    kinds: dict[str, int]
    places: dict[str, int]

    @property
    def sensors(self) -> int:
        return sum(self.states.values())


def read() -> Facets:
    states: dict[str, int] = dict.fromkeys(SensorStatus.Status.values, 0)
    kinds: dict[str, int] = {}
    places: dict[str, int] = {}
    with connection.cursor() as cursor:
        cursor.execute(_FACETS)
        for status, kind, place, count in cursor.fetchall():
            if status is not None:
                states[status] = count
            elif kind:
                kinds[kind] = count
            elif place:
                places[place] = count
    return Facets(states, _few(kinds), _few(places))


def _few(found: dict[str, int]) -> dict[str, int]:
    return dict(sorted(found.items())[:MOST])


_FACETS = """
SELECT status, kind, location, count(*)
FROM monitoring_sensor JOIN monitoring_sensorstatus ON sensor_id = id
WHERE removal_requested_at IS NULL
GROUP BY GROUPING SETS ((status), (kind), (location))
"""
