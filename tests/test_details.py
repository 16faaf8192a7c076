"""What is stored in English of a rejected message is said in French to whoever reads it in French."""

import ast
import json
import re
from pathlib import Path

import pytest
from django.utils import translation

from monitoring import details
from monitoring.decoders import Refusal, board_status, check, decode
from monitoring.decoders.json.examples import load
from monitoring.details import translated
from monitoring.ingest.refused import summary
from monitoring.rejected.replay import Outcome, Verdict, in_words
from monitoring.transfer.formats import Format
from monitoring.transfer.lines_in import Fault, FileError, Line, Reader
from translations.marked import PROJECT


def in_french(detail: str) -> str:
    with translation.override("fr"):
        return translated(detail)


def of_examples() -> set[str]:
    found = set()
    for example in load():
        for item in decode(example.message):
            if isinstance(item, Refusal):
                found.add(item.detail)
            elif fault := check(item, example.sensor, example.received_at, example.retained, example.oldest):
                found.add(fault[1])
    return found


@pytest.mark.parametrize("detail", sorted(of_examples()))
def test_each_detail_of_the_decoders_examples_is_said_in_french(detail: str) -> None:
    assert in_french(detail) != detail
    with translation.override("en-gb"):
        assert translated(detail) == detail


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b" ", b"[]", b"\xff", b"\xef\xbb\xbf{}", b"[" * 100, b"3", b"null", b"{} {}", b"{}\0"),
        *(b'{"a"', b'{"a" 1}', b"{a: 1}", b'{"a": 1,}', b'{"a": }', b'[{"a": 1} 2]', b'{"a": "x', b"[1,]"),
        *(b'{"a": "\\x"}', b'{"a": "\\u12"}', b'{"a": "\x01"}', b'{"a": NaN}', b"x" * 20_000),
        *(b'{"sensor_id": 1}', b'{"sensor_id": true, "value": 1}', b'{"sensor_id": 0, "value": 1}'),
        *(b'{"sensor_id": 1, "value": NaN}', b'{"sensor_id": 1, "value": 1e999}'),
        b'{"sensor_id": 1, "value": ' + b"9" * 309 + b"}",
    ],
)
def test_whatever_json_complains_of_is_said_in_french(payload: bytes) -> None:
    (refusal,) = decode(payload)
    assert isinstance(refusal, Refusal)
    assert in_french(refusal.detail) != refusal.detail
    # Of the English only what was sent is left.
    assert not re.search(r"\b(?:found|must|Expecting|Invalid|at line|is not)\b", in_french(refusal.detail))


@pytest.mark.parametrize("ts", [1e12, 1e300, -1e300, "soon", "2026-01-28T15:07:55", "2026-02-30T15:07:55Z"])
def test_what_is_wrong_with_a_time_is_said_in_french(ts: object) -> None:
    payload = json.dumps({"sensor_id": 1, "value": 1, "ts": ts}).encode()
    (refusal,) = decode(payload)
    assert isinstance(refusal, Refusal)
    assert re.match(r'"ts" .* (?:est|n’est|n’a) ', in_french(refusal.detail))


@pytest.mark.parametrize(
    ("topic", "payload", "length"),
    [("iot/status/b", b"x", 20_000), ("iot/status/b", b"away", None), ("iot/status/\x01", b"online", None)],
)
def test_what_is_wrong_with_what_a_board_says_of_itself_is_said_in_french(
    topic: str, payload: bytes, length: int | None
) -> None:
    refusal = board_status.decode(topic, payload, length)
    assert isinstance(refusal, Refusal)
    assert in_french(refusal.detail) != refusal.detail


def test_what_is_filled_in_stays_as_it_was_and_may_be_anything() -> None:
    detail = '"unit" is "there is no sensor 1", sensor 2 has "{found} %s"'
    assert in_french(detail) == '"unit" vaut "there is no sensor 1", le capteur 2 a "{found} %s"'
    assert in_french("there is no sensor 1") == "il n’y a pas de capteur 1"
    assert in_french("there is no sensor at all") == "there is no sensor at all"
    failed = "value too long for type character varying(500)"
    assert in_french(failed) == failed


def test_elements_of_an_array_and_another_makers_payload_are_said_in_french_within() -> None:
    refusals = [one for one in decode(b'[{"tC": 1, "id": 2}, 7]') if isinstance(one, Refusal)]
    _, detail = summary(refusals)
    said = in_french(detail)
    assert said.startswith("éléments refusés\xa0: 1 missing_field, 1 not_an_object\u202f; le premier d’entre")
    assert '"sensor_id" manque' in said
    assert "cela ressemble à l’état d’un Shelly\xa0: ici, un relevé est" in said


def test_what_came_of_a_replay_is_said_in_french() -> None:
    def came(outcome: Outcome, stored: int, duplicates: int, rejected: dict[str, int]) -> str:
        return in_words(Verdict(1, outcome, None, "", None, None, stored, duplicates, rejected))

    for verdict in [
        *((Outcome.STORED, 1, 0, {}), (Outcome.DUPLICATE, 0, 1, {}), (Outcome.STORED, 3, 0, {})),
        *((Outcome.STORED, 3, 2, {}), (Outcome.DUPLICATE, 0, 2, {})),
        *((Outcome.REJECTED, 0, 0, {"conflict": 2}), (Outcome.STORED, 1, 1, {"conflict": 2})),
        *((Outcome.STORED, 1, 0, {"conflict": 2}), (Outcome.DUPLICATE, 0, 1, {"conflict": 2})),
    ]:
        english = came(*verdict)
        assert in_french(english) != english
        changed = in_french(f'{english}; unit "C" read as "°C"')
        assert changed == in_french(english) + '\u202f; unité "C" lue comme "°C"'


@pytest.mark.parametrize(
    "line",
    [
        *("x,2026-01-28T15:00:00Z,1,V", "1,soon,1,V", "1,2026-01-28T15:00:00Z,x,V", "1,2"),
        *("1,2026-01-28T15:00:00Z,1e999,V", f"1,2026-01-28T15:00:00Z,1,{'V' * 99}"),
        "1,2026-01-28T15:00:00Z,1,\x01",
    ],
)
def test_what_is_wrong_with_a_line_of_a_file_is_said_in_french(line: str) -> None:
    reader = Reader("a.csv", b"sensor,created_at,value,unit", Format.CSV)
    fault = reader.read(Line(2, 0, line.encode(), True))
    assert isinstance(fault, Fault)
    assert in_french(fault.detail) != fault.detail


def test_what_is_wrong_with_a_file_is_said_in_french() -> None:
    for first in (b"\xff\xfea", b"time;value", b"sensor,\xff"):
        with pytest.raises(FileError) as raised:
            Reader("a.csv", first, Format.CSV)
        assert in_french(str(raised.value)) != str(raised.value)


def test_each_form_is_one_that_something_is_said_in() -> None:
    """Its words stand in our source, or in that of Python's json: a form that nobody uses any more goes."""
    folders = [PROJECT / "monitoring" / name for name in ("decoders", "ingest", "rejected", "transfer")]
    files = [file for folder in folders for file in folder.rglob("*.py")]
    files += [PROJECT / "batches" / "store.py", *Path(json.__file__).parent.glob("*.py")]
    said = {
        word
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for word in re.findall(r"\w+", node.value)
    }
    said |= {"Illegal", "trailing", "comma", "before", "end"}  # which Python's json says from 3.13 on
    for form in details._FORMS:
        assert set(re.findall(r"\w+", re.sub(r"\{\w+\}", "", form))) <= said, form
