"""Rows that go before their partition: in pieces, oldest first, as far as the time goes."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from monitoring import locks
from monitoring.models import Measurement, RejectedMessage, RejectedTally, RetentionRun, Sensor
from monitoring.upkeep import expiring, pieces, removal
from monitoring.upkeep.expiring import delete_expired, expired
from monitoring.upkeep.pieces import TimeShare
from monitoring.upkeep.removal import belongings, remove_sensors
from tests.locks import held_until_wanted

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pieces, expiring, removal):
        monkeypatch.setattr(module, "PIECE", 10)


def reject(received_at: datetime) -> None:
    RejectedMessage.objects.create(
        received_at=received_at, topic="t", payload=b"", length=0, code="failed", position=0, batch=f"{1:032}"
    )


def test_it_works(sensors: dict[int, Sensor], measure: Callable[..., None], now: datetime) -> None:
    Sensor.objects.filter(pk=1).update(retention_days=5)
    for sensor in (1, 2):
        measure(sensor, now - timedelta(days=20), 35)
        measure(sensor, now - timedelta(days=5, seconds=4), 20)
    reject(now - timedelta(days=91))
    reject(now - timedelta(days=89))
    for days in (91, 89):
        RejectedTally.objects.create(code="failed", hour=now - timedelta(days=days), seen=1, kept=1)

    due = {one.kind.value: one.rows for one in expired(now)}
    assert due == {"sensor_rows": 39, "rejected": 1}
    assert delete_expired(TimeShare(), now) == due

    assert Measurement.objects.filter(sensor=1).count() == 16
    assert Measurement.objects.filter(sensor=2).count() == 55
    assert RejectedMessage.objects.count() == RejectedTally.objects.count() == 1
    runs = {run.kind: run for run in RetentionRun.objects.all()}
    assert (runs["sensor_rows"].target, runs["sensor_rows"].rows, runs["sensor_rows"].pieces) == ("1", 39, 4)
    assert runs["rejected"].rows == 1
    assert expired(now) == []
    assert not any(delete_expired(TimeShare(), now).values())


def test_what_was_rejected_is_counted_for_ever(db: None, now: datetime) -> None:
    for days, code, seen in ((0, "failed", 3), (91, "failed", 5), (92, "failed", 7), (400, "not_json", 11)):
        hour = now - timedelta(days=days)
        counts = {"seen": seen, "kept": 2, "given_way": 1, "waiting": 1, "replayed": 2, "dismissed": 3}
        RejectedTally.objects.create(code=code, hour=hour, **counts)
    before = RejectedTally.objects.by_code()
    assert before == {
        "failed": {"seen": 15, "kept": 6, "given_way": 3, "waiting": 3, "replayed": 6, "dismissed": 9},
        "not_json": {"seen": 11, "kept": 2, "given_way": 1, "waiting": 1, "replayed": 2, "dismissed": 3},
    }
    delete_expired(TimeShare(), now)
    assert RejectedTally.objects.get().seen == 3
    assert RejectedTally.objects.by_code() == before
    RejectedTally.objects.create(code="failed", hour=now - timedelta(days=91), seen=1, kept=0)
    delete_expired(TimeShare(), now)
    assert RejectedTally.objects.by_code()["failed"] == before["failed"] | {"seen": 16}


def test_it_stops_when_its_time_is_used(
    sensors: dict[int, Sensor], measure: Callable[..., None], monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    Sensor.objects.filter(pk=1).update(retention_days=5)
    measure(1, now - timedelta(days=20), 35)
    used = iter([False, False, False, True])
    monkeypatch.setattr(TimeShare, "is_used", property(lambda share: next(used, True)))
    assert delete_expired(TimeShare(1), now)["sensor_rows"] == 20
    assert RetentionRun.objects.get().rows == 20


def test_it_handles_a_death_between_pieces(
    sensors: dict[int, Sensor], measure: Callable[..., None], monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    Sensor.objects.filter(pk=1).update(retention_days=5)
    measure(1, now - timedelta(days=20), 35)
    delete, calls = expiring._delete_measurements, []

    def dying(*args: object) -> object:
        calls.append(args)
        done = delete(*args)  # type: ignore[arg-type]
        if len(calls) == 3:
            raise RuntimeError("killed")
        return done

    with monkeypatch.context() as patched:
        patched.setattr(expiring, "_delete_measurements", dying)
        with pytest.raises(RuntimeError, match="killed"):
            delete_expired(TimeShare(), now)
    assert Measurement.objects.count() == 15
    assert RetentionRun.objects.get().rows == 20
    assert delete_expired(TimeShare(), now)["sensor_rows"] == 15
    assert RetentionRun.objects.get().rows == 35


def test_a_sensor_goes_with_all_that_is_its(
    sensors: dict[int, Sensor], measure: Callable[..., None], monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    measure(1, now - timedelta(days=20), 35)
    measure(2, now, 3)
    assert belongings(1)[:3] == (35, 0, False)
    monkeypatch.setattr(removal, "COUNTED", 20)
    assert belongings(1).is_estimate

    assert Sensor.objects.filter(pk=1).request_removal() == 1
    assert Sensor.objects.filter(pk=1).request_removal() == 0
    assert not Sensor.objects.get(pk=1).is_active
    assert list(Sensor.objects.present().values_list("pk", flat=True)) == [2, 3]
    assert remove_sensors(TimeShare(0)) == {"rows": 0, "sensors": 0}
    assert remove_sensors(TimeShare()) == {"rows": 35, "sensors": 1}
    assert list(Sensor.objects.values_list("pk", flat=True)) == [2, 3]
    assert Measurement.objects.count() == 3
    assert remove_sensors(TimeShare()) == {"rows": 0, "sensors": 0}


def test_a_run_without_an_end_waits_for_another(transactional_db: None, now: datetime) -> None:
    """`manage.py retention` would say that nothing went, because beat's job was at a piece just then."""
    reject(now - timedelta(days=91))
    with held_until_wanted(locks.EXPIRE):
        assert delete_expired(TimeShare(60), now)["rejected"] == 0
        assert delete_expired(TimeShare(), now)["rejected"] == 1


def test_a_sensor_stays_while_something_is_left(
    sensors: dict[int, Sensor], measure: Callable[..., None], monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    """A batch that had begun before the removal was asked for may commit after the last piece."""
    Sensor.objects.filter(pk=1).request_removal()
    delete = removal._delete

    def late(sensor: Sensor) -> bool:
        measure(1, now)
        return delete(sensor)

    with monkeypatch.context() as patched:
        patched.setattr(removal, "_delete", late)
        assert remove_sensors(TimeShare())["sensors"] == 0
    assert remove_sensors(TimeShare()) == {"rows": 1, "sensors": 1}
