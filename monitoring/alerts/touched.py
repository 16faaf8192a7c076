"""The sure path, at least once: whatever came or went is evaluated, whoever was killed.

The hook after a batch's commit is quick, but a worker may die before it. The ledger is sure: in one
transaction with the rows it names their minutes, and a refresh of the rollups takes each entry once. In that
same transaction the pairs of a rule and a sensor that those minutes concern fall due, from the first of them
on, and the job evaluates them: again where the hook came to it, which changes nothing.

A minute concerns a rule whose threshold lies within its values, one that is not normal for the sensor, one of
whose incidents lies there, and one of a rate or a stuck value. Where readings were deleted, all.
"""

from django.db.backends.utils import CursorWrapper

from monitoring.alerts.coverage import FITTING, many_at_once
from monitoring.alerts.rule import Kind

# A lock timeout: longer than any evaluation takes. A process that holds its locks for longer has stopped.
PATIENCE_MS = 10_000


def note(cursor: CursorWrapper, by_hand: bool) -> None:
    """Of the minutes in the temporary table touched_minute; `by_hand`: rows there were changed or deleted.

    Takes the rows of pairs in the order in which whoever evaluates holds them: in one statement. Raises
    OperationalError where somebody holds one for too long, IntegrityError where a rule is deleted meanwhile:
    then the refresh is undone, and the next one comes here again.
    """
    cursor.execute(_KINDS)
    kinds = {kind for (kind,) in cursor.fetchall()}
    if not kinds:
        return
    cursor.execute(f"SET LOCAL lock_timeout = {PATIENCE_MS}")
    with many_at_once(cursor):
        # Of silences alone, which most have, no minute's values are asked for.
        if by_hand or kinds != {Kind.SILENCE}:
            cursor.execute(_BY_VALUE_TOO, {"by_hand": by_hand})
        else:
            cursor.execute(_BY_STANDING_ALONE)
    # A rule that is deleted meanwhile is found here, rather than where the transaction commits.
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    cursor.execute("SET LOCAL lock_timeout TO DEFAULT")


_OF_READINGS = "enabled AND kind IN ('above', 'below', 'outside', 'rate', 'stuck', 'silence')"
_KINDS = f"SELECT DISTINCT kind FROM monitoring_alertrule WHERE {_OF_READINGS}"

_RULE = f"rule AS MATERIALIZED (SELECT * FROM monitoring_alertrule WHERE {_OF_READINGS})"

_DUE = """
INSERT INTO monitoring_alertstate AS row (rule_id, sensor_id, subject, phase, version, check_from, due_at)
SELECT rule_id, sensor_id, 'sensor:' || sensor_id, 'normal', version, min(start), 'epoch' FROM due
GROUP BY rule_id, version, sensor_id
ORDER BY rule_id, 3
ON CONFLICT (rule_id, subject) DO UPDATE SET
    check_from = least(row.check_from, EXCLUDED.check_from), due_at = EXCLUDED.due_at
"""

_IS_PAST = """(
    %(by_hand)s OR rule.kind IN ('rate', 'stuck')
    OR rule.kind <> 'silence' AND (minute.max > rule.high OR minute.min < rule.low)
)"""

# By values, of what the rules hold for.
_PAST = f"""
sensor AS MATERIALIZED (
    SELECT * FROM monitoring_sensor WHERE id IN (SELECT sensor_id FROM touched_minute)
), standing AS MATERIALIZED (
    SELECT * FROM monitoring_sensorstatus WHERE sensor_id IN (SELECT id FROM sensor)
), {FITTING}, minute AS MATERIALIZED (
    SELECT touched.sensor_id, touched.start, bucket.min, bucket.max FROM touched_minute AS touched
    LEFT JOIN LATERAL (
        SELECT min, max FROM monitoring_rollup_minute
        WHERE sensor_id = touched.sensor_id AND start = touched.start LIMIT 1
    ) AS bucket ON true
    WHERE touched.sensor_id IN (SELECT sensor_id FROM fitting)
), by_value AS (
    SELECT rule.id AS rule_id, rule.version, minute.sensor_id, minute.start
    FROM fitting JOIN rule ON rule.id = fitting.rule_id JOIN minute ON minute.sensor_id = fitting.sensor_id
    WHERE {_IS_PAST}
)
"""

# By where it stands: what is pending, fires, or fired there. A reading puts off a silence that begins so
# much later than it. What has ended is looked up sensor by sensor: one whose clock is years behind is not to
# have everybody's read again.
_NOT_AS_IT_WAS = """
ended AS (
    SELECT incident.* FROM (
        SELECT sensor_id, min(start) AS start FROM touched_minute GROUP BY sensor_id
    ) AS touched
    CROSS JOIN LATERAL (
        SELECT rule_id, sensor_id, since, resolved_at FROM monitoring_incident
        WHERE sensor_id = touched.sensor_id AND state = 'resolved' AND resolved_at >= touched.start
        OFFSET 0
    ) AS incident
), by_standing AS (
    SELECT state.rule_id, rule.version, state.sensor_id, touched.start
    FROM monitoring_alertstate AS state
    JOIN rule ON rule.id = state.rule_id
    JOIN touched_minute AS touched ON touched.sensor_id = state.sensor_id
    WHERE state.phase <> 'normal'
    UNION ALL
    SELECT rule.id, rule.version, incident.sensor_id, touched.start
    FROM ended AS incident
    JOIN rule ON rule.id = incident.rule_id
    JOIN touched_minute AS touched ON touched.sensor_id = incident.sensor_id
    LEFT JOIN monitoring_sensorstatus AS standing ON standing.sensor_id = incident.sensor_id
    LEFT JOIN monitoring_sensor AS sensor ON sensor.id = incident.sensor_id
    WHERE incident.resolved_at >= touched.start
      AND incident.since < touched.start + interval '1 minute' + interval '1 second' * CASE
          WHEN rule.kind = 'silence' THEN coalesce(
              rule.limit_s, rule.intervals * coalesce(sensor.expected_interval_s, standing.interval_s), 0
          ) ELSE 0 END
)
"""

_BY_VALUE_TOO = f"""
WITH {_RULE}, {_PAST}, {_NOT_AS_IT_WAS}, due AS (SELECT * FROM by_value UNION ALL SELECT * FROM by_standing)
{_DUE}
"""
_BY_STANDING_ALONE = f"""
WITH {_RULE}, {_NOT_AS_IT_WAS}, due AS (SELECT * FROM by_standing)
{_DUE}
"""
