"""How a line of the log looks."""

import os
import subprocess
import sys

import pytest

from process.log import moment


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
