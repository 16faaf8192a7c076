"""A file's lines: rows, or faults with their number and reason."""

import io
from datetime import UTC, datetime

import pytest

from monitoring.transfer.formats import Format
from monitoring.transfer.lines_in import Fault, FileError, Reader, Row, lines

HEADER = b"sensor,created_at,received_at,value,unit\n"
AT = datetime(2026, 1, 28, 15, 7, 55, tzinfo=UTC)


def read(content: bytes, name: str = "a.csv", form: Format | None = None) -> list[Row | Fault]:
    file = io.BytesIO(content)
    reader = Reader(name, file.readline(), form)
    file.seek(0)
    found = [reader.read(line) for line in lines(file)]
    return [one for one in found[reader.has_header :] if one is not None]


def test_it_works() -> None:
    row = Row(2, 3, AT, AT, 2.57, "V")
    assert read(HEADER + b"3,2026-01-28T15:07:55Z,2026-01-28T16:07:55+01:00,2.57,V\n") == [row]
    ndjson = (
        b'{"sensor":3,"created_at":1769612875,"received_at":"2026-01-28T15:07:55Z","value":2.57,"unit":"V"}'
    )
    assert read(ndjson, "a.ndjson") == [row._replace(line=1)]
    assert read(ndjson + b"\n", "unnamed") == [row._replace(line=1)]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + HEADER + b"3,2026-01-28T15:07:55Z,,2.57,V\n",  # Excel's UTF-8
        HEADER.replace(b"\n", b"\r\n") + b"3,2026-01-28T15:07:55Z,,2.57,V\r\n\r\n",
        HEADER + b'"3","2026-01-28T15:07:55Z","","2.57","V"\n',
        b"unit,value,id,created_at,sensor\nV,2.57,9,1769612875,3\n",
    ],
)
def test_it_handles_what_other_programs_write(content: bytes) -> None:
    assert read(content) == [Row(2, 3, AT, None, 2.57, "V")]


def test_a_unit_that_is_not_there_is_the_sensors_and_an_empty_one_is_empty() -> None:
    assert read(b"sensor,created_at,value\n3,2026-01-28T15:07:55Z,1\n")[0].unit is None  # type: ignore[union-attr]
    assert read(HEADER + b"3,2026-01-28T15:07:55Z,,1,\n")[0].unit == ""  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"3,2026-01-28T15:07:55Z,,1\n", "not_csv"),
        (b"3,2026-01-28T15:07:55Z,,1,V,more\n", "not_csv"),
        (b'3,2026-01-28T15:07:55Z,,1,"V\n', "not_csv"),
        (b"3,2026-01-28T15:07:55Z,,2,57\n", "ok"),  # a decimal comma into five fields: a value and a unit
        (b"3,2026-01-28T15:07:55Z,,2.5", "cut_off"),
        (b"3,2026-01-28T15:07:55,,1,V\n", "bad_ts"),
        (b"3,28/01/2026,,1,V\n", "bad_ts"),
        (b"3,,,1,V\n", "bad_ts"),
        (b"3,2026-01-28T15:07:55Z,yesterday,1,V\n", "bad_ts"),
        (b"3,1" + b"0" * 400 + b",,1,V\n", "bad_ts"),
        (b"3,2026-01-28T15:07:55Z,,,V\n", "bad_type"),
        (b"3,2026-01-28T15:07:55Z,,nan,V\n", "bad_type"),
        (b"3,2026-01-28T15:07:55Z,,1_000,V\n", "bad_type"),
        (b"3,2026-01-28T15:07:55Z,,\xd9\xa3,V\n", "bad_type"),
        (b"3,2026-01-28T15:07:55Z,,1e400,V\n", "not_finite"),
        (b"3,2026-01-28T15:07:55Z,,1\0,V\n", "bad_type"),
        (b"3,2026-01-28T15:07:55Z,,1,V\0\n", "bad_type"),
        (b"3,2026-01-28T15:07:55Z,,1," + b"V" * 33 + b"\n", "bad_type"),
        (b"0,2026-01-28T15:07:55Z,,1,V\n", "bad_type"),
        (b"9223372036854775808,2026-01-28T15:07:55Z,,1,V\n", "bad_type"),
        (b"3,2026-01-28T15:07:55Z,,1,\xb0C\n", "not_utf8"),  # Latin-1
        (b"3,2026-01-28T15:07:55Z,,1," + b"V" * 100_000 + b"\n", "too_large"),
    ],
)
def test_it_handles_a_bad_line_and_goes_on(line: bytes, reason: str) -> None:
    good = b"3,2026-01-28T15:07:55Z,,1,V\n"
    found = read(HEADER + good + line + (good if line.endswith(b"\n") else b""))
    assert [getattr(one, "reason", "ok") for one in found[:2]] == ["ok", reason]
    assert found[1].line == 3
    assert all(isinstance(one, Row) and one.line == 4 for one in found[2:])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"sensor":3,"created_at":"2026-01-28T15:07:55Z","val', "not_json"),
        (b'{"sensor":3,"created_at":"2026-01-28T15:07:55Z"}', "missing_field"),
        (b'{"sensor":3,"created_at":"2026-01-28T15:07:55Z","value":"1"}', "bad_type"),
        (b'{"sensor":3,"created_at":"2026-01-28T15:07:55Z","value":1,"recieved_at":1}', "bad_type"),
        (b'{"sensor":3,"created_at":"2026-01-28T15:07:55Z","value":NaN}', "not_json"),
        (b'{"sensor":3,"created_at":"2026-01-28T15:07:55Z","value":1e400}', "not_finite"),
        (b'{"sensor":3,"created_at":"2026-01-28T15:07:55","value":1}', "bad_ts"),
        (b'{"sensor":0,"created_at":"2026-01-28T15:07:55Z","value":1}', "bad_type"),
        (b'{"sensor":3,"created_at":"2026-01-28T15:07:55Z","value":1,"unit":"\\u0000"}', "bad_type"),
        (b'{"sensor":3,"created_at":"2026-01-28T15:07:55Z","value":1,"unit":"\\ud800"}', "not_json"),
        (b"[" * 10_000, "bad_type"),
        (b"\xff", "not_utf8"),
        (b"3", "bad_type"),
    ],
)
def test_it_handles_a_bad_object(line: bytes, reason: str) -> None:
    found = read(b'{"sensor":3,"created_at":0,"value":1}\n' + line, "a.jsonl")
    assert [getattr(one, "reason", "ok") for one in found] == ["ok", reason]


@pytest.mark.parametrize(
    "header",
    [b"", b"3,2026-01-28T15:07:55Z,,1,V\n", b"sensor;created_at;value\n", b"sensor,created_at\n",
     b"sensor,sensor,created_at,value\n", b"sensor,created_at,recieved_at,value\n", b"\xff,\n", b'"\n',
     b"PK\x03\x04\0\0\0\n"],
)  # fmt: skip
def test_it_handles_a_wrong_header(header: bytes) -> None:
    with pytest.raises(FileError, match="wanted is a header such as sensor,created_at"):
        read(header)


def test_it_handles_utf_16() -> None:
    with pytest.raises(FileError, match="iconv"):
        read(HEADER.decode().encode("utf-16"))
