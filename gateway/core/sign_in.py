"""How people sign in to the admin API: settings, and how long failures make them wait.

Failures are counted twice: by account, so that many addresses cannot guess one password, and by
address, so that one address cannot guess at many accounts. Both are counted for accounts that do
not exist, too: who is made to wait tells nothing about which accounts there are.

Pure: there is no clock here. Callers pass times and act on the answer.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

# Stands for connections through a Unix socket, which have no address.
UNIX: Final = "unix"
_FIRST_WAIT: Final = 30.0
_LONGEST_WAIT: Final = 900.0

RoleName = Literal["viewer", "analyst", "operator", "admin"]
Network = IPv4Network | IPv6Network


class OidcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `[admin.oidc]`: an OpenID Connect provider through which people sign in.

    `roles` says which role a value of the claim `role_claim` gives; who has none of them is
    refused. `redirect_uri` is our own address as the provider knows it, told from the request
    if it is empty.
    """

    issuer: str
    client_id: str
    client_secret: str = ""
    roles: dict[str, RoleName]
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name_claim: Annotated[str, Meta(min_length=1)] = "preferred_username"
    role_claim: Annotated[str, Meta(min_length=1)] = "groups"
    redirect_uri: str = ""


class AdminSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `[admin]`.

    A session ends `session_idle_minutes` after its last request and `session_hours` after the
    sign-in. `trusted_proxies` are addresses, networks or "unix": what they say about the client's
    address, scheme and host (`x-forwarded-*`) is believed.

    The admin API and the dashboard are below `path`, where models are served or, with a `bind`,
    at that address alone. Without `enabled` there is neither.
    """

    enabled: bool = True
    bind: str = ""
    path: str = "/admin"

    session_idle_minutes: Annotated[float, Meta(gt=0)] = 120.0
    session_hours: Annotated[float, Meta(gt=0)] = 24.0
    trusted_proxies: tuple[str, ...] = ()
    oidc: OidcSettings | None = None
    # Whether there are pages, and not the API alone.
    dashboard: bool = True
    # Whether they are made in a process of their own, while somebody looks.
    page_process: bool = True


class Counted(enum.Enum):
    """What failures are counted by.

    `free` failures cost no wait, and all are forgotten `forgotten_after` seconds after the last.
    """

    # A person who mistypes gets some tries (OWASP Authentication Cheat Sheet, "Account Lockout").
    ACCOUNT = (4, 24 * 3600.0)
    # An office behind one address has many people who mistype.
    ADDRESS = (19, 3600.0)

    def __init__(self, free: int, forgotten_after: float) -> None:
        self.free = free
        self.forgotten_after = forgotten_after


def wait_after(failures: int, counted: Counted) -> float:
    """Return how many seconds the next attempt must wait after so many failures in a row.

    The wait doubles up to a quarter of an hour. It is not longer, since whoever knows a name could
    otherwise keep that person out.
    """
    over = failures - counted.free
    if over <= 0:
        return 0.0
    return min(_FIRST_WAIT * 2.0 ** min(over - 1, 10), _LONGEST_WAIT)


def address_group(address: str | None) -> str:
    """Return what stands for an address in the counts: of IPv6 the /64, which one host has whole.

    RFC 4291, 2.5.4: the lower 64 bits are the host's own choice.
    """
    if address is None:
        return UNIX
    found = parsed_address(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, 64), strict=False))
    return address if found is None else str(found)


def parsed_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address, an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) as IPv4."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def is_loopback(host: str) -> bool:
    """Say whether the name or address of a host is this machine's own."""
    found = parsed_address(host)
    return host.lower() == "localhost" or (found is not None and found.is_loopback)


def parsed_network(text: str) -> Network | None:
    try:
        return ip_network(text)
    except ValueError:
        return None


def is_within(address: str | None, networks: Sequence[str]) -> bool:
    """Say whether an address (None: a Unix socket) is one of `networks`."""
    if address is None:
        return UNIX in networks
    found = parsed_address(address)
    if found is None:
        return False
    return any(
        found in network
        for network in map(parsed_network, networks)
        if network is not None and network.version == found.version
    )
