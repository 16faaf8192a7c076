"""Garbage in cycles is looked for seldom, and still is."""

import subprocess
import sys

LOOK = """
import gc, weakref
from process.collecting import seldom
seldom()
looks = []
gc.callbacks.append(lambda phase, info: looks.append(phase))
kept = [(number,) for number in range(20_000)]
assert not looks
class Cycle: pass
one = Cycle(); one.itself = one; gone = weakref.ref(one); del one
kept += [(number,) for number in range(200_000)]
assert looks and gone() is None
"""


def test_twenty_thousand_tuples_start_no_look_and_cycles_still_go() -> None:
    subprocess.run([sys.executable, "-c", LOOK], check=True)
