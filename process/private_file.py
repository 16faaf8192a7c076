"""The one way to write a file that holds a secret."""

import contextlib
import os
from pathlib import Path


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Replaces the file: atomic, durable, and never readable by more than `mode` allows. Raises OSError.

    A folder that is missing is made, for its owner alone.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()  # left by a crash; if it was made with another mode, it would keep it
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
