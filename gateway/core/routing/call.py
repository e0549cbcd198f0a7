"""What the gateway asks of a provider: a description, with nothing done yet."""

from __future__ import annotations

from typing import Protocol

import msgspec

Headers = tuple[tuple[bytes, bytes], ...]


class Origin(msgspec.Struct, frozen=True):
    """Where connections go, and the key under which they are pooled.

    `ca_file` is a PEM bundle to trust instead of the system's, or beside it if `system_too`.
    `max_connections` bounds the connections that are open at once, in use and idle together.
    """

    scheme: str
    host: str
    port: int
    ca_file: str | None = None
    max_connections: int = 1000
    system_too: bool = False

    @property
    def authority(self) -> bytes:
        """Return the `Host` header's value (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return (host if self.port == default else f"{host}:{self.port}").encode("ascii")


class Call(msgspec.Struct, frozen=True):
    """One HTTP request to a provider, complete but for the connection.

    `headers` hold everything except `host` and `content-length`, with lower-case names.
    `connect_timeout` is in seconds, for DNS, TCP and TLS together; 0 means none. `unlike` says that
    no other call has the same head, so that nothing of it is worth remembering.
    """

    origin: Origin
    method: bytes
    target: bytes
    headers: Headers
    body: bytes
    connect_timeout: float = 5.0
    unlike: bool = False


class BodySource(Protocol):
    """A body that is sent piece by piece, as it comes in or from where it is kept."""

    @property
    def length(self) -> int | None:
        """Return how many bytes there will be; None if that is not known."""
        ...

    async def receive_some(self) -> bytes:
        """Return the next bytes, b"" at the end."""
        ...
