"""How a line of the log looks."""

import logging
import os
import subprocess
import sys

import pytest

from process.log import Formatter, moment


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", "2026-01-28 15:07:55+00:00"),
        ("Europe/Paris", "2026-01-28 16:07:55+01:00"),
        ("Asia/Kathmandu", "2026-01-28 20:52:55+05:45"),
    ],
)
def test_it_says_the_date_and_how_far_it_is_from_utc(zone: str, expected: str) -> None:
    assert moment(zone, 1769612875.9) == expected


def test_it_follows_the_zone_through_the_year() -> None:
    assert moment("Europe/Paris", 1782918475) == "2026-07-01 17:07:55+02:00"


def test_what_the_shell_says_of_the_zone_changes_nothing() -> None:
    program = """
import logging
from process import log
log.to_stderr("INFO", "Europe/Paris")
logging.getLogger("x").handle(logging.makeLogRecord(
    {"name": "x", "levelno": 20, "levelname": "INFO", "msg": "said", "created": 1769612875}))
logging.getLogger("x").debug("not said")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "2026-01-28 16:07:55+01:00 INFO    said\n"


def test_a_line_is_in_the_language_of_the_installation_and_other_handlers_get_it_as_it_was() -> None:
    record = logging.makeLogRecord(
        {"msg": "job %d: %s", "args": (3, "it closed it without an answer"), "levelname": "INFO"}
    )
    assert Formatter("UTC", "fr").format(record).endswith("INFO    tâche 3\xa0: il l’a fermée sans répondre")
    assert Formatter("UTC", "en").format(record).endswith("INFO    job 3: it closed it without an answer")
    assert record.getMessage() == "job 3: it closed it without an answer"


def test_a_word_that_is_filled_in_and_a_line_that_nobody_has_translated_stay_as_they_are() -> None:
    for message, args in [("job %d: %s", (3, "stored")), ("", ()), ("said by a library: %s", ("stored",))]:
        record = logging.makeLogRecord({"msg": message, "args": args, "levelname": "INFO"})
        said = Formatter("UTC", "fr").format(record)
        assert said.endswith(str(args[-1]) if args else "INFO    ")
        assert ("said by a library: " in said) == ("library" in message)
