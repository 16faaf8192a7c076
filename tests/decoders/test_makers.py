"""Another maker's payload is called by its name, and nothing else comes of it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.decoders import Reading, Refusal, decode
from monitoring.decoders.json import makers
from monitoring.decoders.json.careful import decode_carefully
from monitoring.decoders.json.examples import load
from tests.decoders.test_decoding_properties import anything, payloads
from tests.examples import examples

EXAMPLES = load()
KEYS = sorted({"Time", "sensor_id", "value"}.union(*(keys for _, *keys in makers._OBJECTS)))
objects = st.dictionaries(st.sampled_from(KEYS), anything, max_size=6)
theirs = st.builds(
    lambda found: json.dumps(found).encode(), objects | st.lists(objects | anything, max_size=4)
)
beginnings = st.builds(
    bytes.__add__,
    st.sampled_from([b"\x08\x92\xc4\x8e\xf8\xbf3", b"weather,a=b", b"21.5 ", b"on", b"-nan", b'{"Time":']),
    st.binary(max_size=40),
)


def test_it_works() -> None:
    (refusal,) = decode(b'{"Time": "2026-01-28T15:07:55", "AM2301": {"Temperature": 21.5}}')

    assert isinstance(refusal, Refusal)
    assert refusal.detail.startswith('"sensor_id" is missing, found ')
    assert refusal.detail.endswith(
        "; this looks like Tasmota's telemetry: "
        'a reading here is {"sensor_id": 1, "value": 21.5}, several make an array'
    )


def test_what_the_hint_shows_is_a_reading() -> None:
    shown = makers.hint(21.5).partition("a reading here is ")[2].partition(", several")[0]

    (reading,) = decode(shown.encode())

    assert isinstance(reading, Reading)


def test_every_row_has_its_example() -> None:
    shown = [
        (refusal.looks_like, example.payload.decode(errors="replace"))
        for example in EXAMPLES
        for refusal in example.rejected
    ]

    for name, *keys in makers._OBJECTS:
        assert any(name == one and all(f'"{key}"' in text for key in keys) for one, text in shown), keys
    for name, form in makers._FORMATS:
        assert any(
            form.match(example.payload) and example.rejected[0].looks_like == name
            for example in EXAMPLES
            if example.rejected
        )


@pytest.mark.parametrize(
    "payload",
    [
        b"hello",
        b"{}",
        b"[[]]",
        b'{"value": 21.5}',
        b'{"temperature": 21.5, "humidity": 48}',
        b'{"SensorId": 3, "Value": 21.5, "Time": "2026-01-28T15:07:55Z"}',
        b'{"Time": {"of": "day"}}',
        b'{"values": [21.5]}',
        b'{"id": 3, "output": true}',
        b'{"n": 3}',
        b'{"sensor_id": 3, "linkquality": 155}',
        b'{"sensor_id": "3", "value": 21.5, "Time": "2026-01-28T15:07:55", "AM2301": {}}',
        b"2026-01-28",
        b"192.168.0.1",
        b"21.5 V" + b" " * 100,
        b"\x08\x01\x12\xff",
    ],
)
def test_what_is_nobodys_is_called_nothing(payload: bytes) -> None:
    (refusal,) = decode(payload)

    assert isinstance(refusal, Refusal)
    assert "looks like" not in refusal.detail


def test_nobody_asks_whose_a_good_reading_is(monkeypatch: pytest.MonkeyPatch) -> None:
    good = [example.payload for example in EXAMPLES if example.readings and not example.rejected]
    good.append(b'{"sensor_id": 3, "value": 21.5, "linkquality": 155, "Time": "15:07", "AM2301": {}}')
    before = [(decode(payload), decode_carefully(payload)) for payload in good]

    monkeypatch.setattr(makers, "hint", None)
    monkeypatch.setattr(makers, "hint_of_bytes", None)

    assert [(decode(payload), decode_carefully(payload)) for payload in good] == before


@settings(max_examples=examples(600), deadline=None)
@given(payloads | theirs | beginnings)
def test_a_hint_changes_nothing_but_the_end_of_a_detail(payload: bytes) -> None:
    hinted = decode(payload)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(makers, "hint", lambda found: "")
        patch.setattr(makers, "hint_of_bytes", lambda payload: "")
        plain = decode(payload)

    assert len(hinted) == len(plain)
    for one, other in zip(hinted, plain, strict=True):
        if isinstance(one, Refusal) and isinstance(other, Refusal):
            assert one.detail.startswith(other.detail)
            assert len(one.detail) <= 500
            assert (one.code, one.payload, one.index, one.sensor_id) == (
                other.code,
                other.payload,
                other.index,
                other.sensor_id,
            )
        else:
            assert one == other


@settings(max_examples=examples(250), deadline=None)
@given(objects | anything, st.binary(max_size=100) | beginnings)
def test_it_never_raises(found: object, payload: bytes) -> None:
    assert isinstance(makers.hint(found), str)
    assert isinstance(makers.hint_of_bytes(payload), str)
