"""Many sensors that fall silent at once are one incident, which alone is told."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest

from monitoring.alerts import due, evaluating
from monitoring.alerts.changing import us
from monitoring.alerts.evaluating import Known
from monitoring.alerts.outbox import gather as gather_deliveries
from monitoring.alerts.rule import SECOND
from monitoring.alerts.rules import save
from monitoring.models import (
    AlertRule,
    Board,
    Delivery,
    Incident,
    Measurement,
    Notification,
    Sensor,
    SensorStatus,
)
from monitoring.models.alert_state import Pair
from monitoring.upkeep.pieces import TimeShare
from tests.alerts.conftest import Rules, Store

pytestmark = pytest.mark.django_db


def run(began: datetime, second: int) -> None:
    """The job, at a moment until which all is known."""
    due.evaluate_due(TimeShare(), Known(us(began) + second * SECOND), began + timedelta(seconds=second))


def place(location: str, ids: Iterable[int], board: Board | None = None) -> None:
    ids = list(ids)
    there = set(Sensor.objects.filter(pk__in=ids).values_list("pk", flat=True))
    Sensor.objects.register([Sensor(id=pk, name=f"Sensor {pk}") for pk in ids if pk not in there])
    Sensor.objects.filter(pk__in=ids).update(location=location)
    SensorStatus.objects.add_missing()
    SensorStatus.objects.filter(pk__in=ids).update(board=board)


def told() -> list[tuple[str, str]]:
    """(subject, event) of what one of the channels is told, in order."""
    rows = Notification.objects.filter(channel__name="Ana").order_by("pk")
    return list(rows.values_list("incident__subject", "event"))


def parts(subject: str) -> list[int]:
    rows = Incident.objects.filter(part_of__subject=subject).order_by("sensor_id")
    return [one.sensor_id or 0 for one in rows]


@pytest.fixture
def kitchen(db: None, began: datetime) -> Board:
    return Board.objects.create(name="kitchen", online=True, since=began)


def test_300_sensors_that_fall_silent_at_once_are_one_notification(
    rules: Rules, began: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "PIECE", 110)
    rules(kind="silence", limit_s=20)
    place("Hall", range(10, 310))
    rows = [
        Measurement(
            sensor_id=pk, created_at=began + timedelta(seconds=pk % 7), received_at=began, value=1.0, unit=""
        )
        for pk in range(10, 310)
    ]
    Measurement.objects.bulk_create(rows)
    run(began, 60)
    assert Incident.objects.filter(sensor__isnull=False).open().count() == 300
    whole = Incident.objects.get(sensor=None)
    assert (whole.subject, whole.state, whole.kind) == ("location:Hall", "firing", "silence")
    assert whole.parts.count() == 300
    assert whole.since == began + timedelta(seconds=20)
    assert Notification.objects.count() == 2, "one a channel"
    assert told() == [("location:Hall", "firing")]
    assert gather_deliveries(began + timedelta(days=1)) == 2
    message = Delivery.objects.all()[0].message
    assert "300 sensors" in message["subject"]
    assert message["payload"]["data"]["count"] == 1
    run(began, 65)
    assert Notification.objects.count() == 2


def test_it_is_over_when_all_of_its_parts_are(rules: Rules, stored: Store, began: datetime) -> None:
    rule = rules(kind="silence", limit_s=20)
    place("Hall", (1, 2, 3))
    for pk in (1, 2, 3):
        stored([(pk, 1.0)], pk)
    run(began, 40)
    for pk in (1, 2, 3):
        stored([(40 + pk, 1.0)], pk)
        changed = {Pair(rule.pk, pk): us(began) + (40 + pk) * SECOND}
        evaluating.evaluate(changed, Known(), began + timedelta(seconds=45))
        run(began, 45)
        assert (Incident.objects.get(sensor=None).state == "resolved") is (pk == 3)
    whole = Incident.objects.get(sensor=None)
    assert whole.resolved_at == began + timedelta(seconds=43)
    assert told() == [("location:Hall", "firing"), ("location:Hall", "resolved")]


def test_sensors_of_one_board_are_the_boards(
    rules: Rules, stored: Store, began: datetime, kitchen: Board
) -> None:
    rules(kind="silence", limit_s=20)
    place("Hall", (1, 2, 3), kitchen)
    for pk in (1, 2, 3):
        stored([(pk, 1.0)], pk)
    run(began, 40)
    assert told() == [("board:kitchen", "firing")]
    assert parts("board:kitchen") == [1, 2, 3]


def test_a_board_without_a_location(rules: Rules, stored: Store, began: datetime, kitchen: Board) -> None:
    rules(kind="silence", limit_s=20)
    place("", (1, 2, 3), kitchen)
    for pk in (1, 2, 3):
        stored([(pk, 1.0)], pk)
    run(began, 40)
    assert told() == [("board:kitchen", "firing")]


@pytest.mark.parametrize(
    ("locations", "seconds"),
    [
        (("Hall", "Hall", "Roof"), (1, 2, 3)),
        (("Hall", "Hall", "Hall"), (-200, 2, 3)),
        (("", "", ""), (1, 2, 3)),
    ],
)
def test_what_is_apart_is_told_apart(
    locations: tuple[str, ...], seconds: tuple[int, ...], rules: Rules, stored: Store, began: datetime
) -> None:
    rules(kind="silence", limit_s=20, active_from=began - timedelta(hours=1))
    for pk, location, second in zip((1, 2, 3), locations, seconds, strict=True):
        place(location, [pk])
        stored([(second, 1.0)], pk)
    run(began, 40)
    assert sorted(told()) == [("sensor:1", "firing"), ("sensor:2", "firing"), ("sensor:3", "firing")]
    assert Incident.objects.count() == 3


def test_each_rule_has_its_own(rules: Rules, stored: Store, began: datetime) -> None:
    rules(kind="silence", limit_s=20)
    rules(kind="silence", limit_s=10)
    place("Hall", (1, 2, 3))
    for pk in (1, 2, 3):
        stored([(pk, 1.0)], pk)
    run(began, 40)
    assert Incident.objects.filter(sensor=None).count() == 2
    assert told() == [("location:Hall", "firing")] * 2


def test_later_ones_join_and_who_was_told_alone_is_told_once(
    rules: Rules, stored: Store, began: datetime
) -> None:
    rule = rules(kind="silence", limit_s=20)
    place("Hall", (1, 2, 3, 4))
    for pk in (1, 2, 3, 4):
        stored([(pk * 10, 1.0)], pk)
    alone = [("sensor:1", "firing"), ("sensor:2", "firing")]
    run(began, 30)
    run(began, 40)
    assert told() == alone
    run(began, 50)
    assert told() == [*alone, ("location:Hall", "firing")]
    run(began, 60)
    assert told() == [*alone, ("location:Hall", "firing")]
    assert parts("location:Hall") == [1, 2, 3, 4]
    assert Incident.objects.get(sensor=None).since == began + timedelta(seconds=30)
    # Whoever was told of one alone hears of its end; of the others all at once.
    for pk in (1, 3, 2, 4):
        stored([(70, 1.0)], pk)
        evaluating.evaluate(
            {Pair(rule.pk, pk): us(began) + 70 * SECOND}, Known(), began + timedelta(seconds=71)
        )
    run(began, 72)
    ends = [("sensor:1", "resolved"), ("sensor:2", "resolved"), ("location:Hall", "resolved")]
    assert told() == [*alone, ("location:Hall", "firing"), *ends]


def test_three_more_much_later_are_told_once_more(rules: Rules, stored: Store, began: datetime) -> None:
    rules(kind="silence", limit_s=20)
    place("Hall", range(1, 9))
    for pk in (1, 2, 3, 4, 5, 6):
        stored([(pk if pk < 4 else 150, 1.0)], pk)
    run(began, 40)
    assert parts("location:Hall") == [1, 2, 3]
    run(began, 170)
    assert parts("location:Hall") == [1, 2, 3, 4, 5, 6]
    assert Incident.objects.filter(sensor=None).count() == 1
    assert told() == [("location:Hall", "firing")] * 2


def test_gaps_that_had_passed_when_they_were_found(rules: Rules, stored: Store, began: datetime) -> None:
    rules(kind="silence", limit_s=20)
    place("Hall", (1, 2, 3))
    for pk in (1, 2, 3):
        stored([(pk, 1.0), (50 + pk, 1.0), (60 + pk, 1.0)], pk)
    run(began, 64)
    whole = Incident.objects.get(sensor=None)
    assert (whole.state, whole.resolved_at) == ("resolved", began + timedelta(seconds=53))
    assert told() == [("location:Hall", "firing"), ("location:Hall", "resolved")]


def test_what_never_was_is_withdrawn_as_a_whole(rules: Rules, stored: Store, began: datetime) -> None:
    rule = rules(kind="silence", limit_s=20)
    place("Hall", (1, 2, 3))
    for pk in (1, 2, 3):
        stored([(pk, 1.0)], pk)
    run(began, 30)
    for pk in (1, 2, 3):
        stored([(pk + 10, 1.0), (pk + 25, 1.0)], pk)
        late = {Pair(rule.pk, pk): us(began) + (pk + 10) * SECOND}
        evaluating.evaluate(late, Known(us(began) + 30 * SECOND), began + timedelta(seconds=31))
    run(began, 31)
    whole = Incident.objects.get(sensor=None)
    assert (whole.state, whole.end) == ("withdrawn", "late")
    assert told() == [("location:Hall", "firing"), ("location:Hall", "resolved")]


def test_with_its_rule_the_whole_ends(rules: Rules, stored: Store, began: datetime) -> None:
    rule: AlertRule = rules(kind="silence", limit_s=20)
    place("Hall", (1, 2, 3))
    for pk in (1, 2, 3):
        stored([(pk, 1.0)], pk)
    run(began, 30)
    rule.enabled = False
    save(rule, rule.channels.all(), None)
    run(began, 31)
    assert not Incident.objects.open().exists()
    assert told() == [("location:Hall", "firing"), ("location:Hall", "resolved")]


def test_where_its_sensors_are_gone_it_ends(rules: Rules, stored: Store, began: datetime) -> None:
    rules(kind="silence", limit_s=20)
    place("Hall", (1, 2, 3))
    for pk in (1, 2, 3):
        stored([(pk, 1.0)], pk)
    run(began, 30)
    Sensor.objects.all().delete()
    run(began, 31)
    assert Incident.objects.get().end == "changed"
    assert told()[-1] == ("location:Hall", "resolved")
