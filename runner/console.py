"""What a person sees: steps, the children's lines with their names before them, and problems."""

import errno
import os
import sys
import threading

COLOURS = {"web": 36, "bridge": 32, "worker": 33, "beat": 35, "flower": 34, "simulate": 90}
WIDTH = 8


class Console:
    """Safe to use from several threads. A terminal that has gone is no error: `gone` says so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.gone = False

    def step(self, text: str) -> None:
        self._write(1, f"· {text}\n".encode())

    def text(self, text: str) -> None:
        self._write(1, f"{text}\n".encode())

    def problem(self, text: str) -> None:
        sign = "\033[31m✗\033[0m" if self.colour else "✗"
        self._write(2, f"{sign} {text}\n".encode())

    def line(self, name: str, line: bytes) -> None:
        """A line of a child's output, without its newline; the bytes as they came."""
        before = f"{name:{WIDTH}} │ "
        if self.colour:
            before = f"\033[{COLOURS.get(name, 37)}m{before}\033[0m"
        self._write(1, before.encode() + line + b"\n")

    def _write(self, fd: int, data: bytes) -> None:
        with self._lock:
            try:
                while data:
                    data = data[os.write(fd, data) :]
            except OSError:
                if fd == 1:
                    self.gone = True


def clear_error(error: OSError) -> str:
    """One line for an error of the system."""
    what = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{what}; free some space and run again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"cannot write{what}: {error.strerror}; run as its owner, or set DATA_DIR to a folder of yours"
    return f"{error.strerror or error}{what}"
