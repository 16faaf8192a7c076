"""What happens to the system, and when: all of it decided by a seed before it begins."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from prove.system import System, signal_all

# Past what each is waited for: a claim to a bridge's name (10 s) and MQTT's keep-alive (45 s), a lease
# (30 s), a heartbeat (20 s), a socket's time-out (5 s).
STOPS: dict[str, Sequence[float]] = {
    "bridge": (12, 50),
    "worker": (8, 33),
    "worker child": (8, 33),
    "upkeep": (8, 22),
    "beat": (12, 22),
    "redis": (3, 8),
    "postgres": (3, 8),
    "backend": (8, 33),
}


class Fault(NamedTuple):
    """At `at` seconds: `kill`, and start again after `seconds`; or `stop`, and go on after `seconds`."""

    at: float
    act: str
    target: str
    seconds: float


def plan(seed: int, seconds: float, kills: int, stops: int, targets: Sequence[str]) -> list[Fault]:
    """The same for the same arguments. The first comes once the system is warm, the last before its end."""
    choose = random.Random(seed)
    first, last = min(5.0, seconds / 10), seconds * 0.95
    faults = []
    # Each as often as the others, in any order.
    for act, count in (("kill", kills), ("stop", stops)):
        order = [targets[place % len(targets)] for place in range(count)]
        choose.shuffle(order)
        width = (last - first) / max(count, 1)
        for place, target in enumerate(order):
            at = first + (place + choose.random()) * width
            if act == "kill":
                length = choose.choice((0.0, 0.3, 1.0, 2.5))
            else:
                fits = [length for length in STOPS[target] if length < (last - first) / 3]
                length = choose.choice(fits or [min(STOPS[target])])
            faults.append(Fault(at, act, target, length))
    return sorted(faults)


@dataclass
class Done:
    """A fault that was carried out. `began`: on time.monotonic()'s clock."""

    fault: Fault
    began: float


class Faults(threading.Thread):
    """Carries a plan out. One target has one fault at a time; others may come meanwhile."""

    def __init__(
        self, system: System, faults: Sequence[Fault], seed: int, tell: Callable[[str], None]
    ) -> None:
        super().__init__(name="faults", daemon=True)
        self.done: list[Done] = []
        self.left_out: Counter[str] = Counter()
        self._system, self._faults, self._tell = system, faults, tell
        self._choose = random.Random(seed + 1)
        self._locks = {fault.target.partition(" ")[0]: threading.Lock() for fault in faults}
        self._acts: list[threading.Thread] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        began = time.monotonic()
        try:
            for fault in self._faults:
                time.sleep(max(0.0, began + fault.at - time.monotonic()))
                act = threading.Thread(target=self._carry_out, args=(fault,), daemon=True)
                act.start()
                self._acts.append(act)
                if fault.act == "kill":
                    act.join()
            for act in self._acts:
                act.join()
        except BaseException as error:
            self.failure = error

    def _carry_out(self, fault: Fault) -> None:
        try:
            with self._locks[fault.target.partition(" ")[0]]:
                if self._kill(fault) if fault.act == "kill" else self._hold_up(fault):
                    return
            self.left_out[fault.target] += 1
        except BaseException as error:
            self.failure = error

    def _kill(self, fault: Fault) -> bool:
        began = time.monotonic()
        if not self._system.kill(fault.target, self._choose):
            return False
        self._note(fault, began)
        if (start := self._system.start_again(fault.target)) is not None:
            time.sleep(fault.seconds)
            start()
        return True

    def _hold_up(self, fault: Fault) -> bool:
        pids = self._system.pids(fault.target, self._choose)
        if not pids:
            return False
        self._note(fault, time.monotonic())
        signal_all(pids, signal.SIGSTOP)
        time.sleep(fault.seconds)
        signal_all(pids, signal.SIGCONT)
        return True

    def _note(self, fault: Fault, began: float) -> None:
        self.done.append(Done(fault, began))
        self._tell(
            f"{fault.act} {fault.target}" + (f" for {fault.seconds:g} s" if fault.act == "stop" else "")
        )
