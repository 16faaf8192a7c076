"""Failpoints: what FAILPOINTS may say, and when one strikes."""

from collections.abc import Callable

import pytest

from process.failpoints import FailpointError, arm


def test_unset_it_does_nothing() -> None:
    arm("")("bridge.received")


@pytest.mark.parametrize("spec", ["x", "x=explode", "x=kill@", "=kill"])
def test_it_handles_a_spec_that_it_does_not_understand(spec: str) -> None:
    with pytest.raises(ValueError, match="FAILPOINTS"):
        arm(spec)


def test_it_waits_for_its_turn_and_its_text() -> None:
    failpoint: Callable[..., None] = arm("a=raise@2, b=raise?poison")
    failpoint("a")
    failpoint("b", b"milk")
    with pytest.raises(FailpointError):
        failpoint("a")
    with pytest.raises(FailpointError):
        failpoint("b", b"a poisonous one")
