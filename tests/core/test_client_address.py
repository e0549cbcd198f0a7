from __future__ import annotations

import pytest

from gateway.core.client_address import client_address

TRUSTED = ("10.0.0.0/8", "fd00::/8", "192.0.2.9", "unix")
XFF, FORWARDED = "x-forwarded-for", "forwarded"


def found(
    peer: str | None, *headers: tuple[str, str], trusted: tuple[str, ...] = TRUSTED
) -> object:
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return client_address(peer, pairs, trusted)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("198.51.100.1", "198.51.100.1"),
        # The rightmost that is no proxy of ours; what a client has made up stands before it.
        ("203.0.113.7, 198.51.100.1, 10.1.1.1", "198.51.100.1"),
        ("198.51.100.1,10.2.3.4 , fd00::1", "198.51.100.1"),
        ("198.51.100.1:4711", "198.51.100.1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("10.1.1.1", "10.1.1.1"),
        # What cannot be read hides what stands before it.
        ("198.51.100.1, unknown", "10.0.0.1"),
        ("198.51.100.1, unknown, 10.9.9.9", "10.9.9.9"),
        ("", "10.0.0.1"),
        ("1.2.3.4.5", "10.0.0.1"),
        ("\xff", "10.0.0.1"),
    ],
)
def test_what_a_trusted_proxy_says(value: str, expected: str) -> None:
    assert found("10.0.0.1", (XFF, value)) == expected
    # Other addresses are not believed, and no proxy unless some are named.
    assert found("198.51.100.77", (XFF, value)) == "198.51.100.77"
    assert found("10.0.0.1", (XFF, value), trusted=()) == "10.0.0.1"


def test_several_headers_are_one_list() -> None:
    assert (
        found("10.0.0.1", (XFF, "203.0.113.7"), (XFF, "198.51.100.1, 10.1.1.1")) == "198.51.100.1"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("for=198.51.100.1", "198.51.100.1"),
        ('For="[2001:db8::1]:4711";proto=https;by=10.0.0.1', "2001:db8::1"),
        ("for=203.0.113.7, proto=https;for=198.51.100.1, for=10.1.1.1", "198.51.100.1"),
        ("for=198.51.100.1, for=_hidden", "10.0.0.1"),
        ("for=198.51.100.1, proto=https", "10.0.0.1"),
        ("xfor=198.51.100.1", "10.0.0.1"),
    ],
)
def test_the_standards_own_header(value: str, expected: str) -> None:
    assert found("10.0.0.1", (FORWARDED, value)) == expected


def test_of_both_the_usual_one_counts() -> None:
    both = ((FORWARDED, "for=203.0.113.7"), (XFF, "198.51.100.1"))
    assert found("10.0.0.1", *both) == "198.51.100.1"


def test_a_unix_socket() -> None:
    assert found(None, (XFF, "198.51.100.1")) == "198.51.100.1"
    assert found(None, (XFF, "198.51.100.1"), trusted=("10.0.0.0/8",)) is None
