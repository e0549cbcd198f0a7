"""Where requests come from: proxies that are trusted, and headers that anyone may send."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.admin.accounts.arrival import Arrival, arrival_of, check_origin
from gateway.errors import PermissionDenied

pytestmark = pytest.mark.slow

TRUSTED = ("10.0.0.0/8", "unix")


def arrived(
    peer: str | None, *headers: tuple[bytes, bytes], trusted: tuple[str, ...] = TRUSTED, **more: Any
) -> Arrival:
    scope = {"headers": headers, "client": None if peer is None else (peer, 1), **more}
    return arrival_of(scope, trusted)


def forwarded(value: bytes) -> tuple[bytes, bytes]:
    return (b"x-forwarded-for", value)


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        (None, [], None),
        # Anyone can say so.
        ("192.0.2.7", [b"198.51.100.1"], "192.0.2.7"),
        ("10.0.0.1", [b"198.51.100.1"], "198.51.100.1"),
        (None, [b"198.51.100.1"], "198.51.100.1"),
        # The first one that is no proxy of ours, from the end: what stands before is its own claim.
        ("10.0.0.1", [b"203.0.113.9, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", [b"203.0.113.9", b"198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", [b"198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", [b"[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", [b"2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [b"198.51.100.1, rubbish"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.1, rubbish, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b""], "10.0.0.1"),
    ],
)
def test_the_address(peer: str | None, headers: list[bytes], address: str | None) -> None:
    assert arrived(peer, *map(forwarded, headers)).address == address


def test_scheme_and_host_are_those_of_a_trusted_proxy() -> None:
    said = ((b"host", b"inside:8080"), (b"x-forwarded-proto", b"HTTPS"),
            (b"x-forwarded-host", b"Gateway.example.com:443"))  # fmt: skip
    outside = arrived("192.0.2.7", *said)
    assert (outside.secure, outside.host) == (False, "inside:8080")
    proxied = arrived("10.0.0.1", *said)
    assert (proxied.secure, proxied.host) == (True, "gateway.example.com")
    assert arrived("192.0.2.7", scheme="https").secure
    # The nearest proxy is the last of a list.
    assert not arrived("10.0.0.1", (b"x-forwarded-proto", b"https, http")).secure


@pytest.mark.parametrize(
    ("peer", "headers", "local"),
    [
        ("127.0.0.1", (), True),
        ("127.1.2.3", (), True),
        ("::1", (), True),
        ("::ffff:127.0.0.1", (), True),
        ("192.0.2.7", (), False),
        # Whom a socket's file belongs to is not looked at.
        (None, (), False),
        # A proxy on this machine stands in for anybody.
        ("127.0.0.1", (forwarded(b"198.51.100.1"),), False),
        ("127.0.0.1", (forwarded(b"127.0.0.1"),), False),
        ("127.0.0.1", ((b"forwarded", b"for=198.51.100.1"),), False),
        ("10.0.0.1", (forwarded(b"127.0.0.1"),), True),
        ("10.0.0.1", (forwarded(b"198.51.100.1"),), False),
    ],
)
def test_who_is_on_this_machine(
    peer: str | None, headers: tuple[tuple[bytes, bytes], ...], local: bool
) -> None:
    assert arrived(peer, *headers).local is local


def at(host: str, *, secure: bool = False) -> Arrival:
    return Arrival(address="192.0.2.7", secure=secure, host=host, local=False)


@pytest.mark.parametrize(
    ("host", "secure", "origin"),
    [
        ("gw.example.com", False, None),
        ("gw.example.com", True, "https://gw.example.com"),
        ("gw.example.com", True, "https://GW.example.com:443"),
        ("gw.example.com", False, "http://gw.example.com"),
        # TLS ends at a proxy that nothing is known of.
        ("gw.example.com", False, "https://gw.example.com"),
        ("127.0.0.1:8080", False, "http://127.0.0.1:8080"),
        ("[::1]:8080", False, "http://[::1]:8080"),
    ],
)
def test_a_page_of_our_own(host: str, secure: bool, origin: str | None) -> None:
    check_origin(at(host, secure=secure), origin)


@pytest.mark.parametrize(
    ("host", "secure", "origin"),
    [
        ("gw.example.com", True, "https://evil.example"),
        ("gw.example.com", True, "https://gw.example.com.evil.example"),
        ("gw.example.com", True, "https://gw.example.com@evil.example"),
        ("gw.example.com", True, "https://gw.example.com:8443"),
        ("gw.example.com", True, "http://gw.example.com"),
        ("gw.example.com", True, "null"),
        ("gw.example.com", True, ""),
        ("gw.example.com", True, "https://["),
        ("", False, "null"),
        ("", False, ""),
    ],
)
def test_a_page_of_another_site(host: str, secure: bool, origin: str) -> None:
    with pytest.raises(PermissionDenied) as caught:
        check_origin(at(host, secure=secure), origin)
    assert caught.value.code == "cross_origin"
