"""Years of data out of one installation and into another: the two commands, and what goes wrong."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from batches.store import BatchStore
from monitoring import books
from monitoring.models import IngestBatch, Measurement, RejectedMessage, Sensor
from monitoring.transfer import file_out
from monitoring.transfer.rows_out import chunks
from monitoring.upkeep.partitions import MARK, ensure_partitions, existing

PROJECT = Path(__file__).parents[2]
FIELDS = ("sensor_id", "created_at", "received_at", "value", "unit")
HEADER = "sensor,created_at,received_at,value,unit\n"
pytestmark = pytest.mark.django_db


def rows() -> list[Any]:
    return [tuple(map(repr, row)) for row in Measurement.objects.order_by(*FIELDS[:2]).values_list(*FIELDS)]


def export(*options: str) -> str:
    said = StringIO()
    call_command("export_measurements", *options, stderr=said)
    return said.getvalue()


def load(*options: str) -> str:
    """What it said, and how it ended."""
    said = StringIO()
    try:
        call_command("import_measurements", *options, stderr=said)
    except CommandError as error:
        return said.getvalue() + f"{error} (exit code {error.returncode})"
    return said.getvalue()


def wipe() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE monitoring_measurement, monitoring_ingestbatch")


@pytest.fixture
def measured(sensors: dict[int, Sensor], noon: datetime) -> list[Any]:
    """The rows, of three sensors."""
    Measurement.objects.bulk_create(
        Measurement(
            sensor_id=1 + place % 3,
            created_at=noon - timedelta(hours=place, microseconds=place),
            received_at=noon + timedelta(seconds=place),
            value=(0.1 + 0.2) * 10 ** (place % 40 - 20) * (-1) ** place,
            unit=("V", "", "°C", '"', "a,b", "=1+1", "'", "'=x", " x ", "\\N")[place % 10],
        )
        for place in range(600)
    )
    return rows()


@pytest.mark.parametrize("name", ["all.csv", "all.csv.gz", "all.ndjson", "all.jsonl.gz"])
def test_it_works(measured: list[Any], tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    assert "600 rows of 3 sensors" in export("--output", str(file))
    assert [one.name for one in tmp_path.iterdir()] == [name]
    wipe()
    Sensor.objects.filter(pk=2).update(is_active=False, unit="K")  # history stays what it was
    assert "600 lines: 600 stored, 0 duplicates, 0 conflicts, 0 refused; " in load(str(file))
    assert rows() == measured
    assert "0 stored, 600 duplicates" in load(str(file))
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_some_of_it(measured: list[Any], tmp_path: Path, noon: datetime) -> None:
    file = tmp_path / "some.txt"
    start, end = (noon - timedelta(hours=90)).isoformat(), noon.isoformat()
    export("--sensor", "3", "--sensor", "2", "--from", start, "--to", end, "--output", str(file))
    sensors = [line.split(",")[0] for line in file.read_text().splitlines()]
    assert sensors == ["sensor"] + ["2"] * 30 + ["3"] * 30
    with pytest.raises(CommandError, match="there is no sensor 7"):
        export("--sensor", "7", "--output", str(file))


def test_the_rollups_and_the_books_learn_of_it(
    measured: list[Any], store: BatchStore, tmp_path: Path
) -> None:
    file = tmp_path / "all.csv"
    export("--output", str(file))
    wipe()
    load(str(file), "--batch", "250")
    entries = IngestBatch.objects.order_by("ingested_at", "id")
    assert [(one.source, one.messages, one.readings, one.stored) for one in entries] == [
        ("import", 0, 250, 250),
        ("import", 0, 250, 250),
        ("import", 0, 100, 100),
    ]
    touched = {pair for one in entries for pair in zip(one.touched_sensors, one.touched_minutes, strict=True)}
    assert touched == {
        (row.sensor_id, int(row.created_at.timestamp()) // 60) for row in Measurement.objects.all()
    }
    load(str(file))
    assert IngestBatch.objects.filter(touched_sensors=None).get().duplicates == 600
    found = books.read(store)
    assert (found["handed_over"], found["ledger"]["messages"], found["balanced"]) == (0, 0, True)


def test_it_says_what_it_refused(sensors: dict[int, Sensor], tmp_path: Path, noon: datetime) -> None:
    Sensor.objects.filter(pk=2).delete()
    file = tmp_path / "a.csv"
    at = f"{noon:%Y-%m-%dT%H:%M:%SZ}"
    later = f"{noon:%Y-%m-%dT%H:%M:59Z}"
    file.write_text(
        HEADER + f"3,{at},,1.5,V\n" + f"3,{at},,1.5,V\n" + f"3,{at},,2.5,V\n" + f"3,{later[:-1]},,1,V\n"
        f"2,{at},,1,V\n" + "3,2001-01-01T00:00:00Z,,1,V\n" + "3,2999-01-01T00:00:00Z,,1,V\n"
        f"3,{later},,0.1,V"
    )
    said = load(str(file)).splitlines()
    assert said[-2].startswith(
        f"{file}: 8 lines: 1 stored, 1 duplicates, 1 conflicts, 5 refused"
        " (bad_ts 1, clock_ahead 1, cut_off 1, too_old 1, unknown_sensor 1); "
    )
    assert said[-1] == "6 lines were not stored (exit code 1)"
    text = "\n".join(said)
    assert f"{file}:4: conflict: 2.5 V in the file, 1.5 V stored, for sensor 3 at" in text
    assert f"{file}:5: bad_ts: created_at" in text
    assert f"{file}:6: unknown_sensor: there is no sensor 2" in text
    assert f"{file}:7: too_old: created_at 2001-01-01" in text
    assert not RejectedMessage.objects.exists()

    refused, conflicts = tmp_path / "refused.csv", tmp_path / "conflicts.csv"
    said_less = load(str(file), "--refused", str(refused), "--conflicts", str(conflicts), "--create-sensors")
    assert len(said_less.splitlines()) == 2
    assert refused.read_text().splitlines()[0] == "file,line,reason,detail"
    assert len(refused.read_text().splitlines()) == 5
    assert conflicts.read_text().splitlines()[1] == f"{file},4,3,{noon.isoformat()},2.5,V,1.5,V"
    assert Sensor.objects.get(pk=2).unit == "V"


def test_a_sensor_that_keeps_less_takes_less(
    sensors: dict[int, Sensor], tmp_path: Path, noon: datetime
) -> None:
    Sensor.objects.filter(pk=3).update(retention_days=2)
    (tmp_path / "a.csv").write_text(f"sensor,created_at,value\n3,{noon.timestamp():.0f},1\n")
    assert "1 refused (too_old 1)" in load(str(tmp_path / "a.csv"))


def test_a_sensor_that_is_being_removed_takes_nothing(
    sensors: dict[int, Sensor], tmp_path: Path, noon: datetime
) -> None:
    """It would be counted as stored, and go with the sensor."""
    (tmp_path / "a.csv").write_text(HEADER + "".join(f"{n},{noon.isoformat()},,1,\n" for n in (1, 3)))
    Sensor.objects.filter(pk=3).request_removal()
    said = load(str(tmp_path / "a.csv"))
    assert "1 stored" in said
    assert "inactive_sensor: sensor 3 is being removed" in said
    assert Measurement.objects.get().sensor_id == 1


def test_any_number_of_days_is_none_too_many(
    sensors: dict[int, Sensor], tmp_path: Path, noon: datetime
) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}1,{noon.isoformat()},,1,\n")
    Sensor.objects.update(retention_days=2**31 - 1)
    assert "1 stored" in load(str(tmp_path / "a.csv"))


def test_a_partition_that_is_leaving_is_no_traceback(
    sensors: dict[int, Sensor], tmp_path: Path, noon: datetime
) -> None:
    old = noon - timedelta(days=300)
    (name,) = ensure_partitions(old, old)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE monitoring_measurement DETACH PARTITION {name}")
        cursor.execute(f"COMMENT ON TABLE {name} IS '{MARK}'")
    (tmp_path / "a.csv").write_text(f"{HEADER}1,{old.isoformat()},,1,\n")
    assert f"a.csv: {name} is being dropped; the same command goes on from here" in load(
        str(tmp_path / "a.csv")
    )


def test_partitions_are_made(sensors: dict[int, Sensor], tmp_path: Path) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=500)
    (tmp_path / "a.csv").write_text(f"sensor,created_at,value\n3,{long_ago.isoformat()},1\n")
    before = len(existing())
    assert "1 stored" in load(str(tmp_path / "a.csv"))
    assert len(existing()) == before + 1
    assert Measurement.objects.get().unit == "V"  # the sensor's


def test_many_of_a_kind_are_counted(sensors: dict[int, Sensor], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "garbage\n" * 100)
    said = load(str(tmp_path / "a.csv"))
    assert said.count("not_csv: it has 1 fields") == 20
    assert "not_csv: 80 more" in said


def test_a_file_that_cannot_be_read_is_no_end_of_the_others(
    sensors: dict[int, Sensor], tmp_path: Path, noon: datetime
) -> None:
    good, header, cut = tmp_path / "good.csv", tmp_path / "header.csv", tmp_path / "cut.csv.gz"
    good.write_text(f"sensor,created_at,value\n3,{noon.timestamp():.0f},1\n")
    header.write_text("time;value\n")
    cut.write_bytes(gzip.compress(good.read_bytes())[:-9])
    said = load(str(header), str(cut), str(tmp_path / "none.csv"), str(tmp_path), str(good))
    assert f"{header}: its first line is 'time;value'; wanted is a header" in said
    assert f"{cut}: the archive is damaged or cut off" in said
    assert "none.csv: No such file" in said
    assert f"{good}: 1 lines: 1 stored" in said
    assert said.endswith("4 of the files could not be read to their end (exit code 1)")


def test_an_export_goes_on_where_it_was_killed(
    measured: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, file = tmp_path / "whole.csv", tmp_path / "all.csv"
    export("--output", str(whole))
    monkeypatch.setattr(file_out, "_BOOKMARK_SECONDS", 0)
    told = 0

    def few(selection: Any, form: Any, after: Any) -> Any:
        nonlocal told
        for chunk in chunks(selection, form, after, rows=50):
            yield chunk
            told += 1
            if told == 6:
                raise KeyboardInterrupt

    monkeypatch.setattr(file_out, "chunks", few)
    with pytest.raises(CommandError, match="with --resume goes on"):
        export("--output", str(file))
    assert not file.exists()
    part = tmp_path / "all.csv.part"
    with part.open("ab") as torn:
        torn.write(b"3,2026-01-0")
    with pytest.raises(CommandError, match="begun with other options"):
        export("--output", str(file), "--resume", "--sensor", "3")
    assert "600 rows" in export("--output", str(file), "--resume")
    assert told < 15
    assert file.read_bytes() == whole.read_bytes()
    assert {one.name for one in tmp_path.iterdir()} == {"whole.csv", "all.csv"}


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    url = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{connection.settings_dict['NAME']}"

    def start(*command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", *command],
            cwd=PROJECT,
            env=os.environ | {"DATABASE_URL": url},
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.mark.django_db(transaction=True)
def test_an_import_that_is_killed_goes_on(
    sensors: dict[int, Sensor], start: Callable[..., subprocess.Popen[str]], tmp_path: Path, noon: datetime
) -> None:
    file, bookmark = tmp_path / "a.csv", tmp_path / "a.csv.progress"
    begin = noon.timestamp() - 90_000
    file.write_text(
        HEADER + "garbage\n" + "".join(f"3,{begin + second:.0f},,{second},V\n" for second in range(60_000))
    )
    killed = start("import_measurements", str(file), "--batch", "100")
    deadline = time.monotonic() + 60
    while not bookmark.exists():
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert 0 < Measurement.objects.count() < 60_000
    place = json.loads(bookmark.read_bytes())

    said = load(str(file))
    assert f"went on at line {place['line'] + 1:,}" in said
    assert "60,001 lines:" in said
    assert "1 refused (not_csv 1)" in said  # by the run that was killed
    assert not bookmark.exists()
    assert Measurement.objects.count() == 60_000
    assert Measurement.objects.filter(value=59_999, created_at__lt=noon).exists()


def test_a_bookmark_of_another_database_or_another_file_is_none(
    sensors: dict[int, Sensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noon: datetime
) -> None:
    file = tmp_path / "a.csv"
    begin = noon.timestamp()
    file.write_text(HEADER + "".join(f"3,{begin + second:.0f},,1,V\n" for second in range(20)))
    monkeypatch.setattr("monitoring.transfer.bookmark.Bookmark.remove", lambda self: None)
    assert "20 stored" in load(str(file), "--batch", "8")
    assert "went on at line 22; 0 lines/s" in load(str(file))
    wipe()
    assert "20 lines: 20 stored" in load(str(file))
    with file.open("a") as more:
        more.write(f"3,{begin + 30:.0f},,1,V\n")
    assert "21 lines: 1 stored, 20 duplicates" in load(str(file))
