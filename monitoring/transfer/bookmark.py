"""How far a file has come, a checkpoint in a small file beside it: with it a run that was killed resumes."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any


class Bookmark:
    """A JSON object at `path`, replaced atomically: a kill leaves the one before or the one after."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any]:
        """Empty where there is none, or nothing that we wrote."""
        try:
            found = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, **fields: Any) -> None:
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.write_text(json.dumps(fields))
        fresh.replace(self.path)

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def sync_folder(folder: Path) -> None:
    """After a rename in it: the name too survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
