"""How long failures make people wait, and which addresses are one."""

from __future__ import annotations

import pytest

from gateway.core.sign_in import Counted, address_group, is_within, parsed_address, wait_after


def test_an_account_waits_after_the_fifth_failure_and_at_most_a_quarter_of_an_hour() -> None:
    waits = [wait_after(failures, Counted.ACCOUNT) for failures in range(12)]
    assert waits == [0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900]
    assert wait_after(10**9, Counted.ACCOUNT) == 900


def test_an_address_has_more_tries() -> None:
    waits = [wait_after(failures, Counted.ADDRESS) for failures in (0, 19, 20, 21, 10**9)]
    assert waits == [0, 0, 30, 60, 900]


@pytest.mark.parametrize(
    ("address", "group"),
    [
        (None, "unix"),
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no address", "no address"),
    ],
)
def test_what_stands_for_an_address(address: str | None, group: str) -> None:
    assert address_group(address) == group


@pytest.mark.parametrize(
    ("address", "networks", "within"),
    [
        ("10.1.2.3", ("10.0.0.0/8",), True),
        ("::ffff:10.1.2.3", ("10.0.0.0/8",), True),
        ("11.1.2.3", ("10.0.0.0/8", "unix"), False),
        ("2001:db8::1", ("10.0.0.0/8", "2001:db8::/32"), True),
        ("10.0.0.7", ("10.0.0.7",), True),
        (None, ("unix",), True),
        (None, ("0.0.0.0/0",), False),
        ("rubbish", ("0.0.0.0/0", "::/0"), False),
        ("10.0.0.7", (), False),
    ],
)
def test_which_addresses_are_within(
    address: str | None, networks: tuple[str, ...], within: bool
) -> None:
    assert is_within(address, networks) is within


def test_an_address_that_is_none() -> None:
    assert parsed_address("10.0.0") is None
