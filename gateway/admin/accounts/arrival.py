"""Where a request comes from: the client's address, scheme and host, seen past trusted proxies.

What `x-forwarded-for`, `x-forwarded-proto` and `x-forwarded-host` say is believed of the addresses
in `[admin] trusted_proxies` only: anyone can send these headers. Of several addresses in
`x-forwarded-for` each proxy has added the one it was called from at the end, so they are read from
the end, up to the first that is not a trusted proxy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ...core.sign_in import is_within, parsed_address
from ...errors import PermissionDenied

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """`address` is None through a Unix socket. `host` has a port unless it is the default one.

    `local` says that the client is on this machine, without a proxy in between that hides others.
    """

    address: str | None
    secure: bool
    host: str
    local: bool


def arrival_of(scope: Mapping[str, Any], trusted: Sequence[str]) -> Arrival:
    """Read an ASGI scope; `trusted` are those of `[admin] trusted_proxies`."""
    pairs: Iterable[tuple[bytes, bytes]] = scope["headers"]
    headers: dict[bytes, list[str]] = {}
    for name, value in pairs:
        headers.setdefault(name, []).append(value.decode("latin-1"))
    peer = scope.get("client")
    address: str | None = peer[0] if peer else None
    scheme = str(scope.get("scheme", "http"))
    host = _last(headers, b"host")
    forwarded = _listed(headers, b"x-forwarded-for")
    hidden = bool(forwarded) or b"forwarded" in headers
    if is_within(address, trusted):
        proxy, address = address, _client(address, forwarded, trusted)
        hidden = hidden and address == proxy
        scheme = _last(headers, b"x-forwarded-proto").lower() or scheme
        host = _last(headers, b"x-forwarded-host") or host
    found = None if address is None else parsed_address(address)
    return Arrival(
        address=address,
        secure=scheme == "https",
        host=_without_port(host.lower(), scheme),
        local=not hidden and found is not None and found.is_loopback,
    )


def check_origin(arrival: Arrival, origin: str | None) -> None:
    """Raise PermissionDenied if a browser says that a page of another site makes the request.

    Browsers send Origin with every request that is not GET or HEAD (Fetch standard, "append a
    request `Origin` header"); other programs send none, and have no cookies to be abused.
    """
    if origin is None:
        return
    try:
        parts = urlsplit(origin)
        host = _without_port(parts.netloc.lower(), parts.scheme)
    except ValueError:
        host = ""
    plain = arrival.secure and not origin.startswith("https:")
    if not host or host != arrival.host or plain:
        raise PermissionDenied(
            "the request was made by a page of another site; behind a proxy that changes the Host,"
            " that has to send x-forwarded-host and be one of [admin] trusted_proxies",
            code="cross_origin",
        )


def _client(proxy: str | None, forwarded: Sequence[str], trusted: Sequence[str]) -> str | None:
    address = proxy
    for text in reversed(forwarded):
        found = parsed_address(_without_any_port(text))
        if found is None:
            # Made up: what stands before it cannot be told from that.
            return address
        address = str(found)
        if not is_within(address, trusted):
            return address
    return address


def _without_any_port(text: str) -> str:
    """Return the address of `192.0.2.1:80`, `[2001:db8::1]:80` or one without a port."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _without_port(host: str, scheme: str) -> str:
    return host.removesuffix(_DEFAULT_PORTS.get(scheme, "/"))


def _listed(headers: Mapping[bytes, Sequence[str]], name: bytes) -> list[str]:
    return [each.strip() for value in headers.get(name, ()) for each in value.split(",")]


def _last(headers: Mapping[bytes, Sequence[str]], name: bytes) -> str:
    """Return what the nearest proxy has said: proxies that add to a list do so at its end."""
    return (_listed(headers, name) or [""])[-1]
