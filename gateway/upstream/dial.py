"""Open a connection to an origin: name, TCP and TLS under one deadline."""

from __future__ import annotations

import functools
import math
import os
import socket
import ssl
from typing import Final

import certifi
import trio

from ..core.routing.call import Origin
from ..stops import running_after
from ..transport_errors import CertificateRefused, ConnectFailed, ConnectTimeout, LocalShortage
from .connection import UpstreamConnection, Wire
from .shortage import shortage

# A model that thinks for minutes sends nothing, and NATs and load balancers forget silent
# connections, many after 350 s. The Anthropic SDK sets the same (`_DefaultHttpxClient`).
KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5))
        if hasattr(socket, name)
    ),
)


async def dial(origin: Origin, timeout: float) -> UpstreamConnection:
    """Return a new connection; `timeout` is in seconds, 0 for none.

    Raises `ConnectFailed`, `ConnectTimeout` and `LocalShortage`.
    """
    with running_after(timeout or math.inf):
        return await _open(origin)
    raise ConnectTimeout(f"no connection to {_where(origin)} within {timeout:g} s")


async def _open(origin: Origin) -> UpstreamConnection:
    try:
        tcp = await trio.open_tcp_stream(origin.host, origin.port)
    except (OSError, UnicodeError, OverflowError, ExceptionGroup) as exc:
        # The odd ones: a name that IDNA refuses, and a port beyond 65535.
        raise _failure(f"could not connect to {_where(origin)}", exc) from exc
    try:
        for option in KEEPALIVE:
            tcp.setsockopt(*option)
        if origin.scheme != "https":
            return UpstreamConnection(tcp)
        tls = trio.SSLStream(
            Wire(tcp),
            _context(origin),
            server_hostname=origin.host,
            # Many HTTP servers close without TLS's farewell.
            https_compatible=True,
        )
        await tls.do_handshake()
        return UpstreamConnection(tls)
    except (OSError, UnicodeError, trio.BrokenResourceError) as exc:
        tcp.socket.close()
        if _is_about_certificates(exc):
            raise CertificateRefused(f"no TLS with {_where(origin)}: {_reason(exc)}") from exc
        raise _failure(f"no TLS with {_where(origin)}", exc) from exc
    except BaseException:
        tcp.socket.close()
        raise


def _failure(what: str, exc: BaseException) -> ConnectFailed | LocalShortage:
    ours = shortage(exc)
    if ours is not None:
        return LocalShortage(f"{what}: {_reason(ours)}")
    return ConnectFailed(f"{what}: {_reason(exc)}")


def _where(origin: Origin) -> str:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return f"{host}:{origin.port}"


def _reason(exc: BaseException) -> str:
    """Return what an operator needs of an exception: the innermost causes, each once."""
    if isinstance(exc, BaseExceptionGroup):
        return ", ".join(dict.fromkeys(_reason(inner) for inner in exc.exceptions))
    if isinstance(exc.__cause__, Exception):
        return _reason(exc.__cause__)
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {exc.verify_message}"
    if isinstance(exc, ssl.SSLError):
        return (exc.reason or str(exc)).lower().replace("_", " ")
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return str(exc) or "the connection was closed"


def _is_about_certificates(exc: BaseException | None) -> bool:
    while exc is not None and not isinstance(exc, ssl.SSLCertVerificationError):
        exc = exc.__cause__
    return exc is not None


def _context(origin: Origin) -> ssl.SSLContext:
    try:
        return tls_context(origin.ca_file, origin.system_too)
    except OSError as exc:
        # ssl.SSLError is one too: the file is not PEM.
        if shortage(exc) is not None:
            raise LocalShortage(f"cannot read certificates: {_reason(exc)}") from exc
        reason = exc.strerror or exc
        raise CertificateRefused(f"cannot use the CA file {origin.ca_file}: {reason}") from exc


# Reading the system's certificates takes tens of milliseconds.
@functools.cache
def tls_context(ca_file: str | None, system_too: bool = False) -> ssl.SSLContext:  # the cache's key
    """Return a context that checks certificates and host names. Raises OSError."""
    only = None if system_too else ca_file
    context = ssl.create_default_context(cafile=only)
    if only is None and not _has_certificates(context):
        # A slim container image has none.
        context.load_verify_locations(certifi.where())
    if ca_file is not None and system_too:
        context.load_verify_locations(ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _has_certificates(context: ssl.SSLContext) -> bool:
    # Those in a directory are only read when one is needed, so they are not in the count.
    directory = ssl.get_default_verify_paths().capath
    return context.cert_store_stats()["x509_ca"] > 0 or bool(directory and os.listdir(directory))
