"""The proof's account of alerts: what nobody was told of, and may they not have been."""

from datetime import datetime, timedelta

import pytest

from monitoring.alerts.changing import LONG_OVER
from monitoring.models import AlertChannel, AlertRule, Incident, Notification, Sensor
from prove.alerts import Account, account_for_changes

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("over_for", "sequence", "noted", "is_clean"),
    [
        (SECOND, 2, [1, 2], True),
        (SECOND, 2, [1], False),
        (SECOND, 2, [1, 3], False),
        (SECOND, 1, [], False),
        (None, 1, [], False),
        (None, 1, [1], True),
        (LONG_OVER - 120 * SECOND, 1, [], False),
        # What was long over when it was found is kept, and told to nobody.
        (LONG_OVER, 1, [], True),
        (LONG_OVER, 2, [], False),
        (LONG_OVER, 2, [1], False),
    ],
)
def test_each_change_is_noted_once(
    sensors: dict[int, Sensor],
    now: datetime,
    over_for: timedelta | None,
    sequence: int,
    noted: list[int],
    is_clean: bool,
) -> None:
    rule = AlertRule.objects.create(name="above", kind="above", high=1)
    channel = AlertChannel.objects.create(name="hook", kind="webhook", settings={})
    incident = Incident.objects.create(
        rule=rule,
        title="above",
        kind="above",
        severity="warning",
        sensor_id=1,
        subject="sensor:1",
        state="firing" if over_for is None else "resolved",
        since=now - 2 * LONG_OVER,
        fired_at=now - 2 * LONG_OVER,
        resolved_at=None if over_for is None else now - over_for,
        end="" if over_for is None else "clear",
        seen_at=now,
        sequence=sequence,
    )
    for number in noted:
        Notification.objects.create(incident=incident, sequence=number, event="firing", channel=channel)
    found = Account()
    account_for_changes([incident], found)
    assert bool(found.wrong["changes not noted"]) is not is_clean
    assert (found.changes, found.long_over) == (len(noted), int(is_clean and not noted))
