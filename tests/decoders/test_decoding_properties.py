"""What holds for every payload, whatever somebody sends."""

import json
import struct
from datetime import timedelta

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitoring.decoders import Code, Reading, Refusal, decode
from monitoring.decoders.json.careful import decode_carefully
from monitoring.decoders.json.examples import load
from monitoring.decoders.json.syntax import nesting
from monitoring.decoders.limits import MAX_NESTING
from tests.examples import examples

EXAMPLES = [e.payload for e in load() if len(e.payload) < 1_000]
TOKENS = [
    *(c.encode() for c in '[]{},:" \n\\-+0.eE19'),
    b'"sensor_id":3',
    b'"value":',
    b'"type":"light"',
    b'"unit":"\xc2\xb0C"',
    b'"ts":',
    b'{"sensor_id":3,"value":2.57}',
    b"NaN",
    b"-nan",
    b"inf",
    b"Infinity",
    b"null",
    b"true",
    b'"\\ud800"',
    b"\\u0000",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"1e999",
    b'"2026-01-28T15:07:55Z"',
    b"1769612875.123456",
    b"[" * 210,
    b"]" * 210,
    b"9" * 400,
]

numbers = st.one_of(
    st.integers(),
    st.integers(1, 100),
    st.integers(2**63 - 2, 2**63 + 2),
    st.floats(),
    st.floats(-7e10, 3e11),
    st.decimals(allow_nan=False, allow_infinity=False, places=7, min_value=0, max_value=10**10).map(float),
)
in_quotes = st.from_regex(r"[ ]?[0-9]{9,11}([.,][0-9]{1,7})?[ \n]?", fullmatch=True)
times = st.builds(
    lambda moment, between, offset: f"{moment.isoformat(between)}{offset}",
    st.datetimes(),
    st.sampled_from("T t"),
    st.sampled_from(["Z", " Z", "UTC", " UTC", "+01:00", "+0100", " -0530", "+01", "+1", " CET", "", "+24"]),
)
scalars = st.one_of(
    st.none(), st.booleans(), numbers, st.text(), st.datetimes().map(lambda d: f"{d.isoformat()}Z"), in_quotes
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
readings = st.fixed_dictionaries(
    {"sensor_id": st.integers(1, 2**63 - 1) | anything, "value": numbers | anything},
    optional={
        "type": st.text(max_size=70) | anything,
        "unit": st.text(max_size=40) | anything,
        "ts": numbers | times | in_quotes | anything,
        "note": anything,
    },
)
documents = st.builds(
    lambda found, ascii_only: json.dumps(found, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"),
    readings | st.lists(readings | anything, max_size=4),
    st.booleans(),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """An example or a document with a few tokens put in, cut out or written over."""
    payload = bytearray(draw(st.sampled_from(EXAMPLES) | documents))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(payload)))
        cut = draw(st.integers(0, 6))
        payload[at : at + cut] = draw(st.sampled_from([b"", *TOKENS]) | st.binary(max_size=3))
    return bytes(payload)


payloads = st.one_of(
    st.binary(max_size=200),
    st.text().map(str.encode),
    st.lists(st.sampled_from(TOKENS), max_size=25).map(b"".join),
    documents,
    mutated(),
)


def bits(items: list[Reading | Refusal]) -> list[bytes]:
    """The values to the last bit: equality takes 0.0 for -0.0."""
    return [struct.pack("d", item.value) for item in items if isinstance(item, Reading)]


@settings(max_examples=examples(600), deadline=None)
@given(payloads)
@example(b"")
@example(b'{"sensor_id":1,"value":-0}')
@example(b'{"sensor_id":1,"value":1,"\xff":1}')
def test_the_fast_way_and_the_careful_way_agree(payload: bytes) -> None:
    fast, careful = decode(payload), decode_carefully(payload)

    assert fast == careful
    assert bits(fast) == bits(careful)


@settings(max_examples=examples(250), deadline=None)
@given(
    st.from_regex(rb"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.booleans(),
)
def test_they_agree_on_numbers_to_the_last_bit(number: bytes, as_ts: bool) -> None:
    payload = b'{"sensor_id": 3, "value": 1, "ts": %b}' if as_ts else b'{"sensor_id": 3, "value": %b}'

    fast, careful = decode(payload % number), decode_carefully(payload % number)

    assert fast == careful
    assert bits(fast) == bits(careful)


@settings(max_examples=examples(600), deadline=None)
@given(payloads)
def test_whatever_comes_in_ends_as_something_that_can_be_kept(payload: bytes) -> None:
    items = decode(payload)

    assert items
    assert sum(len(item.payload) for item in items if isinstance(item, Refusal)) <= len(payload)
    single = items[0].index is None
    assert [item.index for item in items] == ([None] if single else list(range(len(items))))
    for item in items:
        if isinstance(item, Refusal):
            assert 0 < len(item.detail) <= 500
            assert "\0" not in item.detail
            item.detail.encode()
            assert item.sensor_id is None or 1 <= item.sensor_id < 2**63
        else:
            assert 1 <= item.sensor_id < 2**63
            assert abs(item.value) < float("inf")
            assert "\0" not in f"{item.kind}{item.unit}"
            f"{item.kind}{item.unit}".encode()
            assert item.ts is None or item.ts.utcoffset() == timedelta(0)


@settings(max_examples=examples(250), deadline=None)
@given(st.lists(readings | anything, min_size=1, max_size=4))
def test_a_rejected_element_says_the_same_when_it_is_replayed_alone(elements: list[object]) -> None:
    for item in decode(json.dumps(elements).encode()):
        if isinstance(item, Refusal) and item.index is not None and not item.payload.startswith(b"["):
            [alone] = decode(item.payload)
            assert isinstance(alone, Refusal)
            assert alone == msgspec.structs.replace(item, index=None)


elements = st.lists(
    st.sampled_from(
        [
            *(b"1", b"12", b"-0", b"{}", b"[]", b"null", b"NaN", b'"1,"', '"é"'.encode(), b"1e999"),
            *(b'{"sensor_id":3,"value":%b}' % value for value in (b"1", b"-0.0", b"nan", b'"1"')),
        ]
    ),
    min_size=1,
    max_size=3,
).flatmap(lambda few: st.lists(st.sampled_from(few), min_size=1, max_size=12))


@settings(max_examples=examples(150), deadline=None)
@given(elements, st.sampled_from([b",", b" ,", b",\n", b" , "]))
@example([b"1", b"1", b"12"], b",")
def test_elements_that_are_alike_are_judged_like_any_other(each: list[bytes], comma: bytes) -> None:
    """Of a run of them one is read, and of all of them one is judged."""
    items = decode_carefully(b"[" + comma.join(each) + b"]")

    alone = [decode_carefully(element) for element in each]
    assert [item.index for item in items] == list(range(len(each)))
    for item, element, found in zip(items, each, alone, strict=True):
        if element != b"[]":  # alone it is a message without a reading
            assert [msgspec.structs.replace(item, index=None)] == found
            assert bits([item]) == bits(found)


def counted(text: str) -> int:
    """How deep the brackets are nested, one character after the other."""
    deepest = depth = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            in_string = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            in_string = True
        else:
            depth += (character in "[{") - (character in "]}")
            deepest = max(deepest, depth)
    return deepest


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.sampled_from(["[", "]", "{", "}", '"', "\\", '\\"', "é", "1,", "[" * 150]), max_size=30))
@example(["{}" * 150])
@example(["[]" * 150])
@example(["[" * 150, '"', "[" * 150, "\\", '"', "[" * 51])
def test_brackets_are_counted_where_they_stand_in_no_string(pieces: list[str]) -> None:
    text = "".join(pieces) + "[" * 100 + "]" * 300
    assert (nesting(text) > MAX_NESTING) == (counted(text) > MAX_NESTING)


@settings(max_examples=examples(150), deadline=None)
@given(st.integers(0, 2**40), st.binary(max_size=100))
def test_a_stated_length_beyond_the_bound_is_all_that_counts(length: int, payload: bytes) -> None:
    too_large = [item for item in decode(payload, length) if getattr(item, "code", None) is Code.TOO_LARGE]

    assert bool(too_large) == (length > 16 * 1024)
