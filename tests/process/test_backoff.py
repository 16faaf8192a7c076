"""Waits that grow."""

from process.backoff import Backoff


def test_waits_grow_until_a_connection_has_held() -> None:
    backoff = Backoff(longest=10)
    waits = [backoff.next() for _ in range(7)]
    for wait, wanted in zip(waits, [0.5, 1, 2, 4, 8, 10, 10], strict=True):
        assert 0.8 * wanted <= wait <= 1.2 * wanted
    backoff.reset()
    assert backoff.next() <= 0.6
