"""TLS of `gateway serve`: what a connection is offered, and certificates that are renewed.

HTTP/1.1 is the one protocol that is served, so it is the one that ALPN offers (RFC 7301): a client
that is offered HTTP/2 as well takes that, and fails.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import trio

from ...config.listener.server import ServerTls
from ...errors import ConfigError

_PROTOCOLS: Final = ["http/1.1"]
_WHERE: Final = "[server.tls]"

Stream = trio.SSLStream[trio.SocketStream]


class Certificates:
    """The files of `[server.tls]`, relative to `folder`, as they were when they were last read.

    Connections that are open stay as they began; new ones get what was read last.
    """

    def __init__(self, files: ServerTls, folder: Path) -> None:
        self._files = files
        self._folder = folder
        self.context = self._read()

    def __repr__(self) -> str:
        return f"<Certificates {self._files.cert}>"

    def renew(self) -> None:
        """Read the files again. Raises ConfigError, and then goes on with what it has."""
        self.context = self._read()

    def _read(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(_PROTOCOLS)
        cert, key = self._folder / self._files.cert, self._folder / self._files.key
        _there("cert", cert)
        _there("key", key)
        try:
            context.load_cert_chain(cert, key, password=_no_password)
        except (ssl.SSLError, ValueError, OSError) as exc:
            raise ConfigError([f"{_WHERE} cert, key: {cert}, {key}: {_why(exc)}"]) from exc
        if self._files.client_ca:
            authority = self._folder / self._files.client_ca
            _there("client_ca", authority)
            try:
                context.load_verify_locations(authority)
            except (ssl.SSLError, OSError) as exc:
                raise ConfigError([f"{_WHERE} client_ca: {authority}: {_why(exc)}"]) from exc
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class TlsListener(trio.abc.Listener[Stream]):
    """Stands in for `trio.SSLListener`, with the same arguments.

    Without an `ssl_context` each connection gets that of the certificates at the moment. One that
    Hypercorn's command line has made offers what is served, and no more.
    """

    def __init__(
        self,
        certificates: Certificates | None,
        transport_listener: trio.abc.Listener[trio.SocketStream],
        ssl_context: ssl.SSLContext | None,
        *,
        https_compatible: bool = False,
    ) -> None:
        self.transport_listener = transport_listener
        if ssl_context is not None:
            ssl_context.set_alpn_protocols(_PROTOCOLS)
        self._context: Callable[[], Any] = lambda: (
            ssl_context if certificates is None else certificates.context
        )
        self._https_compatible = https_compatible

    async def accept(self) -> Stream:
        stream = await self.transport_listener.accept()
        return trio.SSLStream(
            stream, self._context(), server_side=True, https_compatible=self._https_compatible
        )

    async def aclose(self) -> None:
        await self.transport_listener.aclose()


def _there(key: str, file: Path) -> None:
    # OpenSSL names no file.
    try:
        with file.open("rb"):
            pass
    except OSError as exc:
        raise ConfigError([f"{_WHERE} {key}: {file}: cannot be read: {exc.strerror}"]) from exc


def _no_password() -> str:
    # Asked for at the terminal otherwise, which a service does not have.
    raise ValueError("the key is encrypted; give one that is not, readable by the gateway alone")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return str(error)
