"""The MicroPython firmware, on the real interpreter, against the real pipeline."""

import json
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.firmware.board import Board, Reading
from tests.firmware.pipeline import restart_broker, seconds, stored
from tests.firmware.wire import Wire
from tests.journey.system import System, wait_for

pytestmark = pytest.mark.timeout(240)


def end(board: Board) -> list[Reading]:
    """Ends the board once all that it measured up to some moment is acknowledged; returns that."""
    measured = board.measured()
    wait_for(lambda: not board.waiting() & set(measured), "the acknowledgement of all that was measured")
    board.stop()
    # The next board's clock may be a second behind: its readings are to come after this one's all the same.
    wait_for(lambda: time.time() > board.measured()[-1].ts + 1, "the next second")
    return measured


def test_it_works(system: System, tmp_path: Path) -> None:
    with Board(tmp_path, system.broker.port) as board:
        wait_for(lambda: len(board.measured()) >= 6, "readings")
        measured = end(board)

    wanted = set(measured)
    wait_for(lambda: wanted <= set(stored(system, measured[0].ts)), f"{len(wanted)} readings in the API")
    last = system.api("sensors/3/last/")
    assert (last["sensor"], last["unit"]) == (3, "V")
    assert Reading(3, *of(last)) in board.measured()


def of(measurement: dict[str, str]) -> tuple[Decimal, Decimal]:
    return seconds(datetime.fromisoformat(measurement["created_at"])), Decimal(str(measurement["value"]))


def test_the_broker_goes_away_twice_and_nothing_is_missing_or_doubled(system: System, tmp_path: Path) -> None:
    before = system.rest()["ledger"]["duplicates"]
    with Wire(system.broker.port) as wire, Board(tmp_path, wire.port) as board:
        wait_for(board.measured, "a reading")
        since = board.measured()[0].ts
        for number in (1, 2):
            restart_broker(system, board, wire, since, number)
            wait_for(lambda: not board.waiting(), "an empty outbox")
        measured = end(board)
        assert board.sent_again() >= 2
        assert wire.connections >= 3

    wait_for(lambda: set(measured) <= set(stored(system, since)), f"{len(measured)} readings in the API")
    books = system.rest()
    found = stored(system, since)
    # What came after `measured` was noted is there too, or was cut off with the board's power.
    assert set(found) <= set(board.measured())
    assert max(found.values()) == 1
    assert len(set(measured)) == len(measured) > 20
    twice = len(wire.published) - len(set(wire.published))
    assert books["ledger"]["duplicates"] - before == twice >= 2
    assert books["ledger"]["rejected"] == 0
    assert books["balanced"] is True


def test_a_failed_read_is_not_sent(system: System, tmp_path: Path) -> None:
    board = Board(tmp_path, system.broker.port)
    board.world(ntp="true", dht="timeout")
    with board:
        wait_for(lambda: len(board.measured()) >= 3, "readings of the light")
        board.world(ntp="true", dht="checksum")
        wait_for(lambda: "the DHT22 was misunderstood (checksum error)" in board.log(), "the other fault")
        board.world(ntp="true", temperature=85.0, humidity=50.0)
        wait_for(lambda: "the DHT22 says 85.0 °C and 50.0 %, which it cannot measure" in board.log(), "this")
        light_only = board.measured()
        assert {one.sensor_id for one in light_only} == {3}
        assert "not sent: temperature and humidity: the DHT22 does not answer" in board.log()

        board.world(ntp="true", temperature=-0.5, humidity=100.0)
        wait_for(lambda: {one.sensor_id for one in board.measured()} == {1, 2, 3}, "all three")
        measured = end(board)

    since = measured[0].ts
    wait_for(lambda: set(measured) <= set(stored(system, since)), "the readings in the API")
    found = stored(system, since)
    assert {one.value for one in found if one.sensor_id == 1} == {Decimal("-0.5")}
    assert {one.value for one in found if one.sensor_id == 2} == {Decimal(100)}


def test_before_the_time_is_known_nothing_has_a_ts_and_nothing_is_kept(
    system: System, tmp_path: Path
) -> None:
    system.rest()
    began = Decimal(repr(time.time()))
    with Wire(system.broker.port) as wire:
        board = Board(tmp_path, wire.port)
        # The first answer is what a router says that has no time itself.
        board.world(ntp=946_684_800 + 3600)
        with board:
            wait_for(lambda: len(wire.published) >= 6, "readings without a time")
            wait_for(lambda: "which cannot be" in board.log(), "the refusal of a wrong time")
            assert not any("ts" in json.loads(payload) for payload in wire.published)

            wire.hold()
            wire.cut()
            at = len(board.lines())
            wait_for(lambda: sum("not kept" in line for line in board.lines()[at:]) >= 5, "readings not kept")
            published = len(wire.published)
            wire.mend()
            wait_for(lambda: len(wire.published) > published, "readings after the break")

            asked = time.time()
            board.world(ntp="true")
            wait_for(lambda: len(board.measured()) >= 3, "readings with a time")
            measured = end(board)

    # A clock of whole seconds is late by one of them at most, and never early.
    assert all(asked - 1 <= one.ts <= time.time() for one in measured)
    with_ts = [one for one in map(json.loads, wire.published) if "ts" in one]
    without = [one for one in map(json.loads, wire.published) if "ts" not in one]
    assert len(with_ts) >= len(measured)
    # A reading without a time is sent once or not at all; three may have been on their way at the cut.
    wait_for(lambda: set(measured) <= set(stored(system, began)), "the readings in the API")
    books = system.rest()
    untimed = sum(stored(system, began).values()) - len(with_ts)
    assert len(without) - 3 <= untimed <= len(without)
    assert books["balanced"] is True
