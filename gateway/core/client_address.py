"""Whose request it is, behind proxies: by what they say in `x-forwarded-for` or `forwarded`.

Only proxies that are trusted are believed, since anyone can send these headers. Each proxy has
added the address that it was called from at the end, so they are read from the end, up to the
first that is not a trusted proxy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from .sign_in import UNIX, Network, parsed_address, parsed_network

# RFC 7239 section 4: `for=`, a token or a quoted string.
_FOR: Final = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^;,"\s]*))', re.IGNORECASE)


def client_address(
    peer: str | None, headers: Iterable[tuple[bytes, bytes]], trusted: tuple[str, ...]
) -> str | None:
    """Return the client's address; `peer` is whose connection it is, None of a Unix socket.

    If there are both headers, `x-forwarded-for` counts.
    """
    if not trusted or not _is_trusted(peer, trusted):
        return peer
    named: dict[bytes, list[str]] = {b"x-forwarded-for": [], b"forwarded": []}
    for name, value in headers:
        if name in named:
            named[name] += value.decode("latin-1").split(",")
    said = named[b"x-forwarded-for"] or [_of_forwarded(each) for each in named[b"forwarded"]]
    address = peer
    for text in reversed(said):
        found = parsed_address(without_port(text.strip()))
        if found is None:
            # Made up, or hidden: what stands before it cannot be told from that.
            return address
        address = str(found)
        if not _is_trusted(address, trusted):
            return address
    return address


def without_port(text: str) -> str:
    """Return the address of `192.0.2.1:80`, `[2001:db8::1]:80` or one without a port."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _of_forwarded(element: str) -> str:
    found = _FOR.search(element)
    return (found[1] or found[2] or "") if found else ""


@lru_cache(maxsize=4096)
def _is_trusted(address: str | None, trusted: tuple[str, ...]) -> bool:
    if address is None:
        return UNIX in trusted
    found = parsed_address(address)
    return found is not None and any(
        found in network for network in _networks(trusted) if network.version == found.version
    )


@lru_cache(maxsize=8)
def _networks(trusted: Sequence[str]) -> tuple[Network, ...]:
    return tuple(each for each in map(parsed_network, trusted) if each is not None)
