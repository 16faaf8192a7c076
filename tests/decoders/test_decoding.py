"""Payloads in, readings or refusals out: by example, and at the edges that an example file holds badly."""

import time
from datetime import UTC, datetime

import pytest

from monitoring.decoders import MAX_PAYLOAD_BYTES, MEANINGS, Code, Reading, Refusal, check, decode
from monitoring.decoders.json.careful import decode_carefully
from monitoring.decoders.json.examples import Example, ExpectedRefusal, load

EXAMPLES = load()
NOT_OF_A_PAYLOAD = {Code.BAD_STATUS, Code.CONFLICT, Code.FAILED, Code.CRASHED_WORKER}


def named_in(detail: str) -> str:
    """Another maker's format, as the detail names it after all else."""
    _, found, hint = detail.rpartition("; this looks like ")
    return hint.partition(": a reading here is ")[0] if found else ""


def test_it_works() -> None:
    payload = b'{"sensor_id": 3, "type": "light", "value": 2.57, "unit": "V", "ts": 1769612875.25}'

    assert decode(payload) == [
        Reading(
            sensor_id=3,
            value=2.57,
            kind="light",
            unit="V",
            ts=datetime(2026, 1, 28, 15, 7, 55, 250_000, UTC),
            index=None,
        )
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"{e.group}: {e.name}" for e in EXAMPLES])
def test_it_handles_the_example(example: Example) -> None:
    stored: list[Reading] = []
    rejected: list[ExpectedRefusal] = []
    for item in decode(example.payload, len(example.message)):
        if isinstance(item, Refusal):
            rejected.append(ExpectedRefusal(item.code, item.index, named_in(item.detail)))
            continue
        sensor = example.sensor_for(item.sensor_id)
        fault = check(item, sensor, example.received_at, example.retained, example.oldest)
        if fault:
            rejected.append(ExpectedRefusal(fault[0], item.index))
        else:
            stored.append(item)

    assert stored == example.readings
    assert rejected == example.rejected
    assert stored or rejected


def test_every_code_has_its_example_file_and_its_meaning() -> None:
    shown = {refusal.code for example in EXAMPLES for refusal in example.rejected}
    groups = {example.group for example in EXAMPLES}

    assert shown == set(Code) - NOT_OF_A_PAYLOAD
    assert {code.value for code in shown} <= groups
    assert set(MEANINGS) == set(Code)


def test_names_of_examples_are_unique() -> None:
    names = [(example.group, example.name) for example in EXAMPLES]

    assert len(set(names)) == len(names)


def test_it_handles_a_message_of_which_only_the_beginning_was_kept() -> None:
    payload = b'{"sensor_id": 3, "value": 2.57}'.ljust(MAX_PAYLOAD_BYTES)

    [refusal] = decode(payload, length=1_000_000)

    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.payload) == (Code.TOO_LARGE, payload)
    assert "1000000" in refusal.detail


def test_it_keeps_of_a_message_that_is_too_large_what_the_bridge_would_keep() -> None:
    [refusal] = decode(b"x" * 1_000_000)

    assert isinstance(refusal, Refusal)
    assert refusal.payload == b"x" * MAX_PAYLOAD_BYTES


def test_an_element_keeps_its_own_bytes_which_replayed_give_the_same_answer() -> None:
    bad = '{"sensor_id":3 , "value": -nan, "unit":"°C" }'.encode()

    good, refusal = decode(b'[ {"sensor_id": 3, "value": 1, "unit": "\xc2\xb5V"} ,\n ' + bad + b" ]")

    assert isinstance(good, Reading)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.payload, refusal.index) == (Code.NOT_FINITE, bad, 1)
    [replayed] = decode(refusal.payload)
    assert isinstance(replayed, Refusal)
    assert (replayed.code, replayed.detail) == (refusal.code, refusal.detail)


def test_it_handles_eight_thousand_bad_elements_without_multiplying_the_payload() -> None:
    payload = b"[" + b"0," * 7_999 + b"0]"

    refusals = decode(payload)

    assert len(refusals) == 8_000
    assert all(isinstance(r, Refusal) and r.payload == b"0" for r in refusals)
    assert [r.index for r in refusals] == list(range(8_000))


def test_it_handles_more_readings_than_levels() -> None:
    payload = b"[" + b",".join([b'{"sensor_id": 3, "value": 2.57, "n": "[{\\""}'] * 250) + b"]"

    assert decode(payload) == decode_carefully(payload)
    assert all(isinstance(item, Reading) for item in decode(payload))


@pytest.mark.parametrize("levels", [199, 200, 250, 900, 4_000])
def test_both_ways_draw_the_same_line_at_nesting(levels: int) -> None:
    # The object itself is the first level.
    nested = b"[" * (levels - 1) + b"]" * (levels - 1)
    payload = b'{"sensor_id": 3, "value": 2.57, "x": ' + nested + b"}"

    [item] = decode(payload)

    assert [item] == decode_carefully(payload)
    assert isinstance(item, Reading if levels <= 200 else Refusal)


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * MAX_PAYLOAD_BYTES,
        b'["' * (MAX_PAYLOAD_BYTES // 2),
        b"[" * 201 + b'\\"' * 8_000,
        b'"value":nan ' * 1_300,
        b'{"value":' + b" " * 16_000,
        b'"' + b"\\" * 16_000,
        b"weather" + b",a=b" * 4_000,
        b"a" * 16_000 + b" b=1",
    ],
    ids=[
        "brackets",
        "open strings",
        "escaped quotes",
        "nan after nan",
        "spaces",
        "backslashes",
        "tags without end",
        "a long name",
    ],
)
def test_no_payload_takes_long(payload: bytes) -> None:
    started = time.process_time()

    [refusal] = decode(payload)

    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.NOT_JSON
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("element", "sensor_id"),
    [
        (b'{"sensor_id": 3}', 3),
        (b'{"sensor_id": 3, "value": "21.5"}', 3),
        (b'{"sensor_id": 3, "value": -nan}', 3),
        (b'{"sensor_id": 3, "value": 1e999}', 3),
        (b'{"sensor_id": 3, "value": 1, "type": 1}', 3),
        (b'{"sensor_id": 3, "value": 1, "unit": "V\\n"}', 3),
        (b'{"sensor_id": 3, "value": 1, "ts": "soon"}', 3),
        (b'{"sensor_id": 3, "value": 1, "x": NaN}', 3),
        (b'{"sensor_id": 4, "sensor_id": 3}', 3),
        (b'{"sensor_id": 1}', 1),
        (b'{"sensor_id": 9223372036854775807}', 2**63 - 1),
        (b'{"sensor_id": 9223372036854775808, "value": 1}', None),
        (b'{"sensor_id": 0, "value": 1}', None),
        (b'{"sensor_id": true, "value": 1}', None),
        (b'{"sensor_id": 3.0, "value": 1}', None),
        (b'{"sensor_id": "3", "value": 1}', None),
        (b'{"sensor_id": NaN, "value": 1}', None),
        (b'{"sensor_id": [3], "value": 1}', None),
        (b'{"value": 1}', None),
        (b"3", None),
        (b'["sensor_id"]', None),
    ],
)
def test_a_refusal_names_the_sensor_that_can_be_read(element: bytes, sensor_id: int | None) -> None:
    [alone] = decode(element)
    _, among_others = decode(b'[{"sensor_id": 5, "value": 1}, %b]' % element)

    for refusal in (alone, among_others):
        assert isinstance(refusal, Refusal)
        assert refusal.sensor_id == sensor_id


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b'{"sensor_id": 3, "value": 1', b" " * 20_000])
def test_what_could_not_be_read_names_no_sensor(payload: bytes) -> None:
    [refusal] = decode(payload)

    assert isinstance(refusal, Refusal)
    assert refusal.sensor_id is None


@pytest.mark.parametrize(
    ("payload", "code", "hints"),
    [
        (b'{"sensor_id": 3, "value": "21.5"}', Code.BAD_TYPE, ['"value"', '"21.5"', "number"]),
        (b'{"sensor_id": 3, "value": null}', Code.BAD_TYPE, ['"value"', "null"]),
        (b'{"sensor_id": 3, "value": -1e999}', Code.NOT_FINITE, ["-1e999"]),
        (b'{"value": 3}', Code.MISSING_FIELD, ['"sensor_id"']),
        (b'\xef\xbb\xbf{"sensor_id": 3}', Code.NOT_JSON, ["BOM"]),
        (b'{"sensor_id": 3, "value": 1}\0', Code.NOT_JSON, ["NUL", "column 29"]),
        (b'{"sensor_id": 3, "value": 1, "ts": 1769612875250}', Code.BAD_TS, ["milliseconds", "send seconds"]),
        (b'{"sensor_id": 3, "value": 1, "ts": "2026-01-28T15:07:55"}', Code.BAD_TS, ["offset", "Z"]),
        (b'{"sensor_id": 3, "value": 1, "unit": "\\ud800"}', Code.BAD_TYPE, ["U+D800"]),
        (b'{"sensor_id": "' + b"9" * 5_000 + b'", "value": 1}', Code.BAD_TYPE, ["…"]),
        (b'"\\ud800\\u0000"', Code.NOT_AN_OBJECT, ["\\ud800"]),
        (b"\xff", Code.NOT_UTF8, ["0xff", "position 0"]),
    ],
)
def test_the_detail_helps_a_person(payload: bytes, code: Code, hints: list[str]) -> None:
    [refusal] = decode(payload)

    assert isinstance(refusal, Refusal)
    assert refusal.code is code
    assert all(hint in refusal.detail for hint in hints), refusal.detail
    assert len(refusal.detail) <= 500
