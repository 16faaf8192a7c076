"""What goes wrong is what was asked for, and is counted right."""

import json
from collections import Counter
from itertools import islice

import pytest

from monitoring.decoders import Reading, decode
from monitoring.simulator.faults import EVERY, FAULTS, Kind, Message, Messages, garbage_payloads, parse

NOW = 1_790_000_000.0
ALL = frozenset(FAULTS.values())


def sent(messages: Messages, ticks: int, boards: int = 2) -> list[Message]:
    return [message for tick in range(ticks) for message in messages.of(tick % boards, NOW + tick)]


def test_it_works() -> None:
    first = sent(Messages(), 2)
    assert [json.loads(m.payload)["sensor_id"] for m in first] == [1, 2, 3, 4, 5, 6]
    assert {m.kind for m in first} == {Kind.GOOD}
    light = json.loads(first[2].payload)
    assert list(light) == ["sensor_id", "type", "value", "unit"]
    assert (light["type"], light["unit"]) == ("light", "V")
    assert "°C".encode() in first[0].payload


def test_ts_is_the_time_of_reading_and_never_the_same_twice() -> None:
    messages = Messages(ts=True)
    rows = [json.loads(m.payload) for _ in range(5) for m in messages.of(0, NOW)]
    assert rows[0]["ts"] == NOW
    assert len({(row["sensor_id"], row["ts"]) for row in rows}) == len(rows) == 15


def test_every_fault_has_its_share() -> None:
    ticks = 4000
    kinds = Counter(m.kind for m in sent(Messages(ALL, ts=True, seed=5), ticks))
    share = ticks * 3 // EVERY
    assert kinds[Kind.GARBAGE] == share
    assert share - 5 <= kinds[Kind.DUPLICATE] <= share
    assert share - 5 <= kinds[Kind.LATE] <= share
    assert kinds[Kind.GARBAGE] / kinds.total() <= 1 / 50


def test_a_duplicate_follows_the_same_payload_and_nothing_else_comes_twice() -> None:
    seen: set[bytes] = set()
    for message in sent(Messages({Kind.DUPLICATE, Kind.LATE}, ts=True, seed=1), 3000):
        assert (message.payload in seen) == (message.kind is Kind.DUPLICATE)
        seen.add(message.payload)


def test_late_is_late() -> None:
    newest = 0.0
    behind = []
    for message in sent(Messages({Kind.LATE}, ts=True, seed=2), 3000):
        ts = json.loads(message.payload)["ts"]
        assert (ts < newest) == (message.kind is Kind.LATE)
        if message.kind is Kind.LATE:
            behind.append(newest - ts)
        newest = max(newest, ts)
    assert min(behind) < 60
    assert 3600 < max(behind) < 6.1 * 3600


def test_garbage_is_rejected_once_each_and_everything_else_is_a_reading() -> None:
    assert len(garbage_payloads()) > 50
    for message in sent(Messages(ALL, ts=True, seed=3), 6000):
        items = list(decode(message.payload))
        assert len(items) == 1
        assert isinstance(items[0], Reading) == (message.kind is not Kind.GARBAGE)


def test_a_seed_makes_it_the_same() -> None:
    def run(seed: int) -> list[Message]:
        return sent(Messages(ALL, ts=True, seed=seed), 500)

    assert run(7) == run(7)
    assert run(7) != run(8)


def test_late_without_ts_is_refused() -> None:
    with pytest.raises(ValueError, match="late messages need ts"):
        Messages({Kind.LATE}, ts=False)


def test_an_unknown_fault_is_refused_by_name() -> None:
    assert parse(" late,,garbage ") == {Kind.LATE, Kind.GARBAGE}
    assert parse("") == frozenset()
    with pytest.raises(ValueError, match="no such fault: fire; there are duplicates, late, garbage"):
        parse("late,fire")


def test_boards_do_not_run_out() -> None:
    messages = Messages(ALL, ts=True, seed=0)
    assert len(list(islice(messages.of(9_999, NOW), 3))) == 3
