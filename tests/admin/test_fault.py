"""Where a payload is at fault, marked."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.admin.fault import Shown, show
from monitoring.decoders import Refusal, decode


def marked(shown: Shown) -> list[str]:
    return [piece.text for piece in shown.pieces if piece.is_fault]


def whole(shown: Shown) -> str:
    return "".join(piece.text for piece in shown.pieces)


def refused(payload: bytes) -> Shown:
    """As the decoder refuses it."""
    (refusal,) = decode(payload, None)
    assert isinstance(refusal, Refusal)
    return show(payload, refusal.code, refusal.detail)


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b'{"sensor_id": 1, "value": "twenty"}', '"twenty"'),
        (b'{"sensor_id": 1, "value": {"a": [1, {}]}}', '{\n    "a": [\n      1,\n      {}\n    ]\n  }'),
        (b'{"note": {"value": 1}, "sensor_id": 1, "value": "x"}', '"x"'),
        (b'{"sensor_id": "1", "value": 2}', '"1"'),
        (b'{"sensor_id": 1, "value": 2, "ts": "yesterday"}', '"yesterday"'),
        (b'{"sensor_id":1,,}', ","),
        ('{"sensor_id":1,\n "é": tru}'.encode(), "t"),
        (b"\xef\xbb\xbf{}", "\\ufeff"),
        (b"{\xff}", "\\xff"),
        (b'{"sensor_id":1,"value":2}\0', "\\x00"),
    ],
)
def test_the_place_of_the_fault_is_marked(payload: bytes, fault: str) -> None:
    assert marked(refused(payload)) == [fault]


def test_what_ends_too_early_is_marked_at_its_end() -> None:
    shown = refused(b'{"sensor_id": 12, "value":')
    assert (marked(shown), shown.is_end) == ([], True)


def test_what_is_missing_has_no_place() -> None:
    assert marked(refused(b'{"sensor_id": 1}')) == []


def test_what_a_sensor_is_refused_for_is_marked_where_it_is_named() -> None:
    payload = b'{"sensor_id": 12, "value": 1, "unit": "C"}'
    assert marked(show(payload, "unknown_sensor", "there is no sensor 12")) == ["12"]
    assert marked(show(payload, "unit_mismatch", '"unit" is "C", sensor 12 has "V"')) == ['"C"']


def test_of_an_array_the_refused_elements_are_marked() -> None:
    payload = b'[{"a": 1}, 2, {"value": []}, "4"]'
    shown = show(payload, "bad_type", "elements refused: …", refused=[1, 2])
    assert marked(shown) == ["2", '{\n    "value": []\n  }']


@pytest.mark.parametrize(
    "payload",
    [b"[" * 300, b"[" * 9 + b"]" * 9, b"", b"null", b'"\\ud800"', b"[1e999, 1" + b"0" * 9000 + b"]"],
)
def test_anything_is_shown(payload: bytes) -> None:
    assert whole(show(payload, "failed", "x")).replace("\n  ", "").replace("\n", " ").replace(
        " ]", "]"
    ) == payload.decode().replace(", ", ",")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.sampled_from(['"value" must', "there is no sensor", ""]), st.lists(st.integers(0, 4)))
def test_what_is_shown_of_json_is_the_same_json(value: object, detail: str, elements: list[int]) -> None:
    payload = json.dumps(value).encode()
    assert json.loads(whole(show(payload, "unknown_sensor", detail, elements))) == value


@given(st.binary(max_size=60), st.text(max_size=60), st.sampled_from(["not_json", "not_utf8", "bad_type"]))
def test_it_takes_whatever_there_is(payload: bytes, detail: str, code: str) -> None:
    show(payload, code, detail)
