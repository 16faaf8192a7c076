"""The sure path: whatever came or went is evaluated, whoever was killed.

The hook after a batch's commit is quick, but a worker may die before it. The ledger is sure: in one
transaction with the rows it names their minutes, and a refresh of the rollups takes each entry once. In that
same transaction the pairs of a rule and a sensor that those minutes concern fall due, from the first of them
on, and the job evaluates them: again where the hook came to it, which changes nothing.

A minute concerns a rule whose threshold lies within its values, one that is not normal for the sensor, one of
whose incidents lies there, and one of a rate or a stuck value. Where readings were deleted, all.
"""

from django.db.backends.utils import CursorWrapper

from monitoring.alerts.coverage import FITS

# Longer than anybody evaluates. Whoever is later than that has stopped.
PATIENCE_MS = 10_000


def note(cursor: CursorWrapper, by_hand: bool) -> None:
    """Of the minutes in the temporary table touched_minute; `by_hand`: rows there were changed or deleted."""
    cursor.execute("SELECT EXISTS (SELECT FROM monitoring_alertrule WHERE enabled)")
    if not cursor.fetchone()[0]:
        return
    cursor.execute(f"SET LOCAL lock_timeout = {PATIENCE_MS}")
    cursor.execute(_NOTE, {"by_hand": by_hand})
    # A rule that is deleted meanwhile fails this here, rather than the whole refresh when it commits.
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    cursor.execute("SET LOCAL lock_timeout TO DEFAULT")


# Twice the same: of rules that name a sensor by that, of the others each with each, which are few.
_CONCERNED = f"""
SELECT rule.id AS rule_id, rule.version, sensor.id AS sensor_id, touched.start,
       %(by_hand)s OR rule.kind IN ('rate', 'stuck')
       OR (rule.kind <> 'silence' AND coalesce(bucket.max > rule.high, false))
       OR (rule.kind <> 'silence' AND coalesce(bucket.min < rule.low, false)) AS is_past,
       -- A reading puts off a silence that begins so much later.
       CASE WHEN rule.kind = 'silence' THEN coalesce(
           rule.limit_s, rule.intervals * coalesce(sensor.expected_interval_s, standing.interval_s), 0
       ) ELSE 0 END * interval '1 second' AS ahead
FROM touched_minute AS touched
JOIN monitoring_sensor AS sensor ON sensor.id = touched.sensor_id
LEFT JOIN monitoring_sensorstatus AS standing ON standing.sensor_id = sensor.id
LEFT JOIN LATERAL (
    SELECT min, max FROM monitoring_rollup_minute
    WHERE sensor_id = touched.sensor_id AND start = touched.start LIMIT 1
) AS bucket ON true
JOIN rule ON {{which}}
WHERE {FITS}
"""

_NOTE = f"""
WITH rule AS MATERIALIZED (
    SELECT * FROM monitoring_alertrule
    WHERE enabled AND kind IN ('above', 'below', 'outside', 'rate', 'stuck', 'silence')
), concerned AS (
    {_CONCERNED.format(which="rule.sensor_id = touched.sensor_id")}
    UNION ALL
    {_CONCERNED.format(which="rule.sensor_id IS NULL")}
), due AS (
    SELECT rule_id, version, sensor_id, min(start) AS start FROM concerned
    WHERE is_past OR EXISTS (
        SELECT FROM monitoring_alertstate AS state
        WHERE state.rule_id = concerned.rule_id AND state.sensor_id = concerned.sensor_id
          AND state.phase <> 'normal'
    ) OR EXISTS (
        SELECT FROM monitoring_incident AS incident
        WHERE incident.rule_id = concerned.rule_id
          AND incident.subject = 'sensor:' || concerned.sensor_id
          AND incident.state = 'resolved' AND incident.resolved_at >= concerned.start
          AND incident.since < concerned.start + interval '1 minute' + concerned.ahead
    )
    GROUP BY rule_id, version, sensor_id
)
INSERT INTO monitoring_alertstate AS row (rule_id, sensor_id, subject, phase, version, check_from, due_at)
SELECT rule_id, sensor_id, 'sensor:' || sensor_id, 'normal', version, start, 'epoch' FROM due
ORDER BY rule_id, 3
ON CONFLICT (rule_id, subject) DO UPDATE SET
    check_from = least(row.check_from, EXCLUDED.check_from), due_at = EXCLUDED.due_at
"""
