"""Formats that go out alone: what a spreadsheet of a country opens at a double click, and nothing reads back.

French Excel wants `;` between columns and `,` in numbers, and takes a file for UTF-8 by its BOM alone. It
reads `2026-01-28 15:00:00` as a moment, but no T and no Z; so the head says that the times are UTC.
"""

from enum import StrEnum


class Sheet(StrEnum):
    CSV_FR = "csv-fr"

    @property
    def content_type(self) -> str:
        return "text/csv; charset=utf-8; header=present"

    @property
    def header(self) -> bytes:
        return "\ufeffsensor;created_at (UTC);received_at (UTC);value;unit\n".encode()

    @property
    def extension(self) -> str:
        return "csv"
