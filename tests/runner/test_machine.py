"""Under which addresses this machine is reached by others."""

import ipaddress

import pytest

from runner import machine


@pytest.mark.parametrize(
    ("listen", "is_open"),
    [
        ("127.0.0.1", False),
        ("127.0.0.2", False),
        ("::1", False),
        ("localhost", False),
        ("0.0.0.0", True),
        ("::", True),
        ("192.0.2.7", True),
        ("my-laptop", True),
    ],
)
def test_whether_others_reach_it(listen: str, is_open: bool) -> None:
    assert machine.is_open(listen) is is_open
    if not is_open:
        assert machine.addresses(listen) == []


def test_one_address_is_itself() -> None:
    assert machine.addresses("192.0.2.7") == ["192.0.2.7"]


@pytest.mark.parametrize(("listen", "version"), [("0.0.0.0", 4), ("::", 6)])
def test_everywhere_is_every_address_of_its_kind(listen: str, version: int) -> None:
    found = [ipaddress.ip_address(one) for one in machine.addresses(listen)]
    assert all(one.version == version and not one.is_loopback for one in found)


def test_an_address_of_ipv6_is_in_brackets_in_a_url() -> None:
    assert machine.in_url(machine.reachable("::")) == "[::1]"
    assert machine.in_url(machine.reachable("0.0.0.0")) == "127.0.0.1"
