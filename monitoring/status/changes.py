"""Who wants to know that sensors have another status: told after the commit, and never in its way."""

from collections.abc import Callable, Mapping

from django.db import transaction

Listener = Callable[[Mapping[int, str]], None]

_listeners: list[Listener] = []


def listen(listener: Listener) -> Callable[[], None]:
    """Subscribes it: called with {sensor id: status}, in this process. Returns a function that ends that."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def tell(changed: Mapping[int, str]) -> None:
    """Calls the listeners once the open transaction is committed. What a listener raises is logged."""
    if not changed:
        return
    for listener in tuple(_listeners):
        transaction.on_commit(lambda listener=listener: listener(changed), robust=True)  # type: ignore[misc]
