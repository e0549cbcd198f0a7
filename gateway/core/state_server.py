"""The table `[state]`: a Valkey or Redis server through which processes act as one.

Pure: what an address says. `state/redis/` connects to it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta

PORT: Final = 6379
SENTINEL_PORT: Final = 26379
_SCHEMES: Final = ("redis", "rediss", "valkey", "valkeys")
_KINDS: Final = ("", "sentinel", "cluster")

EXPECTED: Final = (
    'expected "redis://HOST:PORT", "rediss://..." for TLS, "valkey://..." or "unix:///PATH"; for '
    'Sentinel "redis+sentinel://HOST,HOST/NAME", for a cluster "redis+cluster://HOST,HOST"'
)


class StateServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Without a `url`, processes share what the workers of one host can share by themselves.

    `prefix` begins every key. `timeout` is what a request waits for one answer at most, in seconds.
    """

    url: str = ""
    username: str = ""
    password: str = ""
    sentinel_username: str = ""
    sentinel_password: str = ""
    ca_file: str = ""
    prefix: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^{}\s]+$")] = "gateway"
    timeout: Annotated[float, Meta(ge=0.005, le=5.0)] = 0.05


class StateAddress(NamedTuple):
    """Where the server is. `hosts` are sentinels or nodes of a cluster where `kind` says so.

    `path` is of a Unix socket, `service` what the sentinels call the server.
    """

    kind: Literal["one", "sentinel", "cluster"]
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    database: int = 0
    tls: bool = False
    username: str = ""
    password: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.service}@{hosts}" if self.service else hosts


class WrongAddress(ValueError):
    """An address that cannot be used. Says why, and never repeats it: it may have a password."""


def state_address(url: str) -> StateAddress:
    """Return what `url` says. Raises WrongAddress."""
    scheme, found, rest = url.partition("://")
    if not found:
        raise WrongAddress(EXPECTED)
    if scheme == "unix":
        return _unix(rest)
    base, _, kind = scheme.partition("+")
    if base not in _SCHEMES or kind not in _KINDS or ("+" in scheme and not kind):
        raise WrongAddress(EXPECTED)
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    username, _, password = credentials.partition(":") if at else ("", "", "")
    port = SENTINEL_PORT if kind == "sentinel" else PORT
    nodes = tuple(_host(each, port) for each in hosts.split(","))
    if len(nodes) > 1 and not kind:
        raise WrongAddress(f"names several hosts; {EXPECTED}")
    service, database = "", path
    if kind == "sentinel":
        service, _, database = path.partition("/")
        if not service:
            raise WrongAddress("names no server for the sentinels to find: end it with /NAME")
    number = _database(database, query)
    if kind == "cluster" and number:
        raise WrongAddress("a cluster has no database but 0")
    return StateAddress(
        {"": "one", "sentinel": "sentinel", "cluster": "cluster"}[kind],  # type: ignore[arg-type]
        nodes,
        "",
        unquote(service),
        number,
        base in ("rediss", "valkeys"),
        unquote(username),
        unquote(password),
    )


def _unix(rest: str) -> StateAddress:
    path, _, query = rest.partition("?")
    if not path.startswith("/"):
        raise WrongAddress("expected the whole path of a socket: unix:///PATH")
    return StateAddress("one", path=unquote(path), database=_database("", query))


def _host(text: str, port: int) -> tuple[str, int]:
    try:
        split = urlsplit(f"//{text}")
        host, given = split.hostname, split.port
    except ValueError:
        raise WrongAddress(f"has a host or a port that cannot be; {EXPECTED}") from None
    if not host or split.path or given == 0:
        raise WrongAddress(f"has no host where one belongs; {EXPECTED}")
    return host, given or port


def _database(path: str, query: str) -> int:
    number = path.strip("/")
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        if name != "db":
            raise WrongAddress(f"has the option {name!r}; there is only ?db=NUMBER")
        number = value
    if number and not (number.isascii() and number.isdecimal() and len(number) <= 4):
        raise WrongAddress("ends in what is no number of a database")
    return int(number or 0)
