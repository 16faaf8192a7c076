"""What a person sees: steps, the children's lines with their names before them, and problems."""

import errno
import os
import re
import shutil
import sys
import threading
import time

from process.log import moment
from runner import words

COLOURS = {"web": 36, "bridge": 32, "worker": 33, "beat": 35, "flower": 34, "simulate": 90}
WIDTH = 8
# How long what is printed when all is up stays where it is, on a terminal.
CALM_SECONDS = 60
# What a process says when nothing is wrong (process/log.py).
_USUAL = re.compile(rb"\d{4}-\d\d-\d\d [\d:]{8}[+-]\d\d:\d\d (INFO|DEBUG) ")
_ANEW = b"\r\033[K"


class Console:
    """Safe to use from several threads. A terminal that has gone is no error: `gone` says so.

    Steps and problems are given in English, and shown in the language.
    """

    def __init__(self, language: str = "en") -> None:
        self._language = language
        self._lock = threading.Lock()
        self.colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.gone = False
        self._zone = ""
        self._calm_until = 0.0
        self._over = False
        """Whether the terminal's last line is one that the next is written over."""

    def all_is_up(self, zone: str) -> None:
        """From now on a step is an event, with its time. On a terminal, what is printed next stays readable
        for a minute: usual lines (INFO, DEBUG) are each written over the one before."""
        self._zone = zone
        if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            with self._lock:
                self._calm_until = time.monotonic() + CALM_SECONDS

    def step(self, text: str) -> None:
        when = f"{moment(self._zone)} " if self._zone else ""
        self._write(1, f"· {when}{words.said(text, self._language)}\n".encode())

    def text(self, text: str) -> None:
        self._write(1, f"{text}\n".encode())

    def problem(self, text: str) -> None:
        sign = "\033[31m✗\033[0m" if self.colour else "✗"
        self._write(2, f"{sign} {words.said(text, self._language)}\n".encode())

    def line(self, name: str, line: bytes) -> None:
        """A line of a child's output, without its newline; the bytes as they came."""
        before = f"{name:{WIDTH}} │ "
        # Decided under the lock: what is to come with its newline comes before the calm, not in it.
        with self._lock:
            calm = time.monotonic() < self._calm_until and bool(_USUAL.match(line))
            if calm:
                room = shutil.get_terminal_size().columns - len(before) - 1
                line = line.decode(errors="replace")[: max(room, 0)].encode()
            if self.colour:
                before = f"\033[{COLOURS.get(name, 37)}m{before}\033[0m"
            self._put(1, before.encode() + line + (b"" if calm else b"\n"), over=calm)

    def _write(self, fd: int, data: bytes) -> None:
        with self._lock:
            self._put(fd, data)

    def _put(self, fd: int, data: bytes, over: bool = False) -> None:
        """`over`: the next is written over it."""
        try:
            if self._over:
                os.write(1, _ANEW)
            self._over = over
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
