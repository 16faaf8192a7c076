"""A rejected message goes the ordinary way once more, and once."""

import json
import threading
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection

from batches.store import BatchStore
from monitoring.models import (
    IngestBatch,
    Measurement,
    MinuteRollup,
    RejectedMessage,
    RejectedTally,
)
from monitoring.rejected.replay import (
    CutError,
    NotWaitingError,
    Outcome,
    Trial,
    UnitChange,
    replay,
    replay_one,
)
from monitoring.rollups.refresh import refresh
from tests.rejected.conftest import Reject, everything, reading, register, require_exact_books

pytestmark = pytest.mark.django_db


def test_what_was_rejected_is_stored_as_of_when_it_came(
    reject: Reject, store: BatchStore, ana: User, noon: datetime
) -> None:
    (row,) = reject(reading(), at=noon)
    assert (row.code, row.sensors, row.state) == ("unknown_sensor", [12], "waiting")
    require_exact_books(store)
    register()
    verdict = replay_one(row.pk, ana)
    assert (verdict.outcome, verdict.sensor, verdict.created_at) == (Outcome.STORED, 12, noon)
    stored = Measurement.objects.get()
    assert (stored.sensor_id, stored.value, stored.created_at, stored.received_at) == (12, 21.5, noon, noon)
    row.refresh_from_db()
    assert (row.state, row.outcome, row.replayed_by, row.became_sensor, row.became_at) == (
        *("replayed", "stored", ana),
        *(12, noon),
    )
    assert row.replayed_at is not None
    entry = IngestBatch.objects.get(source="replay")
    assert (entry.messages, entry.readings, entry.stored, entry.rejected) == (0, 1, 1, 0)
    require_exact_books(store)
    refresh()
    assert MinuteRollup.objects.get(sensor_id=12).count == 1


def test_it_happens_once(reject: Reject, store: BatchStore, ana: User) -> None:
    (row,) = reject(reading())
    register()
    replay_one(row.pk, ana)
    for dry_run in (False, True):
        with pytest.raises(NotWaitingError):
            replay_one(row.pk, ana, dry_run=dry_run)
    with pytest.raises(NotWaitingError):
        replay_one(0, ana)
    assert Measurement.objects.count() == 1
    require_exact_books(store)


def test_what_is_there_already_is_a_duplicate(
    reject: Reject, store: BatchStore, ana: User, noon: datetime
) -> None:
    first, second, other = reject(*[reading(ts=noon.timestamp())] * 2, reading(value=3, ts=noon.timestamp()))
    register()
    assert replay_one(first.pk, ana).outcome is Outcome.STORED
    verdict = replay_one(second.pk, ana)
    assert (verdict.outcome, verdict.sensor, verdict.created_at) == (Outcome.DUPLICATE, 12, noon)
    verdict = replay_one(other.pk, ana)
    assert (verdict.outcome, verdict.code) == (Outcome.REJECTED, "conflict")
    second.refresh_from_db()
    other.refresh_from_db()
    assert (second.state, second.outcome) == ("replayed", "duplicate")
    assert (other.state, other.code) == ("waiting", "conflict")
    assert other.outcome == "rejected again: 1 conflict"
    by_code = RejectedTally.objects.by_code()
    assert by_code["conflict"]["seen"] == by_code["conflict"]["waiting"] == 1
    assert (by_code["unknown_sensor"]["seen"], by_code["unknown_sensor"]["replayed"]) == (2, 2)
    require_exact_books(store)


def test_the_retained_flag_and_the_topic_are_those_it_came_with(
    reject: Reject, store: BatchStore, ana: User, noon: datetime
) -> None:
    # A retained copy needs a time of its own.
    (row,) = reject(reading(1, unit="F", ts=noon.timestamp()), retained=True)
    assert row.code == "unit_mismatch"
    assert replay_one(row.pk, ana, payload=reading(1, unit="°C")).code == "retained"
    assert replay_one(row.pk, ana, payload=reading(1, unit="°C", ts=noon.timestamp())).outcome == "stored"
    require_exact_books(store)


def test_a_changed_payload_is_all_or_nothing(
    reject: Reject, store: BatchStore, ana: User, noon: datetime
) -> None:
    (row,) = reject(b"21.5")
    before = RejectedMessage.objects.values().get()
    half = json.dumps([{"sensor_id": 1, "value": 1}, {"sensor_id": 77, "value": 2}]).encode()
    verdict = replay_one(row.pk, ana, payload=half)
    assert (verdict.outcome, verdict.code, verdict.stored) == (Outcome.REJECTED, "unknown_sensor", 0)
    assert not Measurement.objects.exists()
    row.refresh_from_db()
    assert (row.state, row.code, row.changed_payload) == ("waiting", before["code"], None)
    require_exact_books(store)
    both = json.dumps([{"sensor_id": 1, "value": 1}, {"sensor_id": 2, "value": 2}]).encode()
    verdict = replay_one(row.pk, ana, payload=both)
    assert (verdict.outcome, verdict.stored) == (Outcome.STORED, 2)
    row.refresh_from_db()
    assert (bytes(row.payload), bytes(row.changed_payload or b""), row.outcome) == (b"21.5", both, "2 stored")
    require_exact_books(store)


def test_of_an_array_that_was_kept_whole_the_rest_waits_on(
    reject: Reject, store: BatchStore, ana: User, noon: datetime
) -> None:
    elements = [{"sensor_id": 1, "value": 1, "ts": noon.timestamp()}]
    elements += [
        {"sensor_id": 12 + place % 2, "value": place, "ts": noon.timestamp() + place} for place in range(60)
    ]
    elements += [{"sensor_id": 12}] * 3
    (row,) = reject(json.dumps(elements, separators=(",", ":")).encode())
    assert row.indexes
    assert row.elements == 63
    assert row.sensors == [12, 13]
    assert Measurement.objects.count() == 1
    register(12)
    verdict = replay_one(row.pk, ana)
    assert (verdict.outcome, verdict.stored) == (Outcome.REJECTED, 30)
    assert verdict.rejected == {"unknown_sensor": 30, "missing_field": 3}
    row.refresh_from_db()
    assert (row.state, row.elements, row.code) == ("waiting", 33, "unknown_sensor")
    assert {code: len(which) for code, which in row.refused().items()} == verdict.rejected
    assert RejectedTally.objects.by_code()["unknown_sensor"]["replayed"] == 30
    require_exact_books(store)
    register(13)
    assert replay_one(row.pk, ana).rejected == {"missing_field": 3}
    row.refresh_from_db()
    assert (row.state, row.elements, row.code) == ("waiting", 3, "missing_field")
    assert Measurement.objects.count() == 61
    require_exact_books(store)


def test_an_element_that_is_an_array_is_still_no_message(
    reject: Reject, store: BatchStore, ana: User
) -> None:
    (row,) = reject(b'[{"sensor_id": 1, "value": 1}, [{"sensor_id": 1, "value": 2}]]')
    assert (row.code, row.index) == ("not_an_object", 1)
    assert replay_one(row.pk, ana).code == "not_an_object"
    assert Measurement.objects.count() == 1
    require_exact_books(store)


def test_what_was_cut_is_replaced_or_left(reject: Reject, store: BatchStore, ana: User) -> None:
    (row,) = reject(b"x" * 20_000)
    assert row.code == "too_large"
    assert row.is_cut
    with pytest.raises(CutError):
        replay_one(row.pk, ana)
    assert replay_one(row.pk, ana, payload=reading(1)).outcome is Outcome.STORED
    require_exact_books(store)


def test_a_unit_is_read_as_another(reject: Reject, store: BatchStore, ana: User) -> None:
    rows = reject(reading(1, unit="C"), reading(1, unit="F"))
    change = UnitChange("C", "°C")
    first, second = replay([row.pk for row in rows], ana, change=change)
    assert (first.outcome, second.code) == (Outcome.STORED, "unit_mismatch")
    assert Measurement.objects.get().unit == "°C"
    rows[0].refresh_from_db()
    assert rows[0].outcome == 'stored; unit "C" read as "°C"'
    require_exact_books(store)


def test_a_dry_run_changes_nothing(
    reject: Reject, store: BatchStore, ana: User, noon: datetime, now: datetime
) -> None:
    old = (now - timedelta(days=80)).timestamp()  # of a month that has no partition yet
    rows = reject(
        *(reading(), reading(ts=old), reading(ts=noon.timestamp()), reading(ts=noon.timestamp())),
        *(b"garbage", reading(1, unit="F")),
    )
    register()
    before = everything()
    trial = Trial()
    ids = [row.pk for row in rows]
    verdicts = replay(ids[:3], ana, trial=trial) + replay(ids[3:], ana, trial=trial)
    assert [verdict.outcome for verdict in verdicts] == ["stored"] * 3 + ["duplicate"] + ["rejected"] * 2
    assert everything() == before
    assert [verdict.outcome for verdict in replay(ids, ana)] == [verdict.outcome for verdict in verdicts]
    require_exact_books(store)


def test_what_cannot_be_stored_takes_nothing_with_it(reject: Reject, store: BatchStore, ana: User) -> None:
    rows = reject(reading(), reading(value=99), reading(value=3))
    register()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE monitoring_measurement ADD CONSTRAINT no_99 CHECK (value <> 99)")
    verdicts = replay([row.pk for row in rows], ana)
    assert [verdict.outcome for verdict in verdicts] == ["stored", "rejected", "stored"]
    assert verdicts[1].code == "failed"
    rows[1].refresh_from_db()
    assert (rows[1].state, rows[1].code) == ("waiting", "failed")
    require_exact_books(store)


@pytest.mark.django_db(transaction=True)
def test_asked_for_at_once_from_many_places_it_happens_once(
    reject: Reject, store: BatchStore, ana: User
) -> None:
    rows = reject(*(reading(value=place) for place in range(20)))
    register()
    outcomes: list[int] = []
    begin = threading.Barrier(4)

    def run(ids: list[int]) -> None:
        begin.wait()
        for pk in ids:
            outcomes.append(len(replay([pk], ana)))
        connection.close()

    ids = [row.pk for row in rows]
    threads = [threading.Thread(target=run, args=[order]) for order in (ids, ids[::-1], ids[10:] + ids[:10])]
    for thread in threads:
        thread.start()
    begin.wait()
    whole = replay(ids, ana)
    for thread in threads:
        thread.join()
    assert sum(outcomes) + len(whole) == 20
    assert Measurement.objects.count() == 20
    require_exact_books(store)
