"""What groups of processes cost: CPU and memory, their children included, those that have ended too."""

import os
from collections.abc import Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(root: int) -> list[int]:
    """The process, and all that came of it and are there."""
    found = [root]
    for pid in found:
        try:
            found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except OSError:
            continue
    return found


def cpu_seconds(root: int) -> float:
    """Of the process and its children, in steps of 10 ms; of those that ended, once they were waited for."""
    ticks = 0
    for pid in tree(root):
        try:
            ticks += sum(map(int, _stat(pid)[11:15]))
        except OSError:
            continue
    return ticks / _TICKS


def peak_mib(root: int) -> float:
    """The sum of the processes' largest resident sets; what they share counts in each."""
    peak = 0
    for pid in tree(root):
        try:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    peak += int(line.split()[1])
        except OSError:
            continue
    return peak / 1024


class Cpu:
    """CPU of named processes from now on."""

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = dict(roots)
        self._before = {name: cpu_seconds(root) for name, root in self._roots.items()}

    def microseconds_per(self, messages: int) -> dict[str, float]:
        return {
            name: 1e6 * max(0.0, cpu_seconds(root) - self._before[name]) / messages
            for name, root in self._roots.items()
        }
