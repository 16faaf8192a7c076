"""When Python looks for garbage in cycles: seldom, in processes that make thousands of tuples a batch.

Each 700 new ones start a look at all young ones, by default; that was a fifth of what the bridge did with a
message. There are no cycles among them: they go when the batch does.
"""

import gc

_YOUNG = 50_000


def seldom() -> None:
    """Call it once all is imported: what is there by now is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
