"""Which rules hold for which sensors, and what a rule says of one of them."""

from monitoring.alerts.rule import SECOND, Kind, Rule
from monitoring.models import AlertRule


def as_rule(rule: AlertRule, interval_s: float | None) -> Rule | None:
    """What it says of a sensor with this expected interval in seconds (None: not known), saved or not.

    None where it says nothing: of a silence that goes by an interval which is not known.
    """
    kind = Kind(rule.kind)
    limit_us = 0
    if kind == Kind.SILENCE:
        if rule.limit_s is not None:
            limit_us = rule.limit_s * SECOND
        elif interval_s is not None:
            limit_us = round(rule.intervals * interval_s * SECOND)
        else:
            return None
    return Rule(
        kind=kind,
        high=rule.high,
        low=rule.low,
        clear_high=rule.clear_high,
        clear_low=rule.clear_low,
        for_us=rule.for_s * SECOND,
        keep_us=rule.keep_s * SECOND,
        # What somebody left in the field when he chose another kind is not read.
        window_us=rule.window_s * SECOND if kind in (Kind.RATE, Kind.STUCK, Kind.REJECTED) else 0,
        limit_us=limit_us,
    )
