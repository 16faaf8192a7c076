"""When the cyclic garbage collector runs: seldom, in processes that make thousands of tuples a batch.

By default each 700 new objects start a collection of all young ones; that was a fifth of what a message cost
the bridge. There are no cycles among them: reference counting frees them when the batch goes.
"""

import gc

_YOUNG = 50_000


def seldom() -> None:
    """Call it once all is imported: the collector never looks at what is there by now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
