"""Send a captured request again, over the standard library's HTTP.

httpx belongs to `upstream/`; this needs one request and its answer as it comes.
"""

from __future__ import annotations

import codecs
import http.client
import socket
import sys
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ...config.listener.server import Server
from ...core.capture.json_path import REDACTED
from ...core.capture.redaction import is_credential
from ...core.capture.transcript import RequestLine
from ..output.plain_text import printable, printable_line

# Seconds without a byte. A gateway sends a keep-alive every 15 s, unless it is configured not to.
_PATIENCE: Final = 600.0
# Headers that belong to one connection, and those that identify the first request: its id, its
# trace, the proxies that it came through.
_LEFT_OUT: Final = frozenset(
    {
        *("host", "content-length", "connection", "keep-alive", "transfer-encoding", "te"),
        *("trailer", "upgrade", "expect", "accept-encoding", "proxy-connection", "forwarded"),
        *("traceparent", "tracestate", "x-real-ip", "via"),
    }
)


class Unsendable(Exception):
    """The request cannot be sent again; says why, for a person to read."""


class PreparedRequest(msgspec.Struct, frozen=True):
    """A request that can be sent. `where` is its URL without anything secret."""

    connection: http.client.HTTPConnection
    where: str
    method: str
    target: str
    headers: list[tuple[str, bytes]]
    body: bytes


def prepare(
    request: RequestLine, url: str | None, key: str | None, server: Server, *, anyway: bool
) -> PreparedRequest:
    """Return how to send `request` to `url`, or to where `server` listens. Raises Unsendable."""
    if request.truncated or request.body.withheld is not None:
        raise Unsendable("its body was not kept whole, so it cannot be sent again")
    if request.method == "GET" and request.body.text:
        raise Unsendable("it is a session over a WebSocket, and no single request")
    if request.redacted and not anyway:
        raise Unsendable("parts of it were redacted; use --anyway to send it as it was kept")
    try:
        body = request.body.data
    except ValueError as exc:
        raise Unsendable("its body cannot be read") from exc
    connection, where, base = _connection(url) if url else _bound(server.bind)
    left_out = {*_LEFT_OUT, server.request_id_header.lower()}
    headers = [
        (name, value.encode())
        for name, value in request.headers
        if name not in left_out
        and not name.startswith("x-forwarded-")
        and not is_credential(name)
        and REDACTED not in value
    ]
    if key:
        headers.append(("authorization", f"Bearer {key}".encode()))
    # A base URL often ends in /v1 already.
    target = request.target if request.target.startswith(f"{base}/") else base + request.target
    return PreparedRequest(connection, where, request.method, target, headers, body)


def send(prepared: PreparedRequest) -> int:
    """Send it and print what comes; return the exit status: 0 for a whole answer below 400."""
    connection = prepared.connection
    try:
        connection.putrequest(prepared.method, prepared.target, skip_accept_encoding=True)
        for name, value in prepared.headers:
            connection.putheader(name, value)
        connection.putheader("content-length", str(len(prepared.body)))
        connection.endheaders(prepared.body)
        response = connection.getresponse()
        request_id = response.getheader("x-request-id", "-")
        _say(f"HTTP {response.status} from {prepared.where}, request {request_id}")
        _print(response)
        return 0 if response.status < 400 else 1
    except BrokenPipeError:
        # The reader of stdout or the gateway has closed; a reader that is gone needs no message.
        return 1
    except http.client.IncompleteRead:
        _say("error: the answer broke off")
    except (OSError, http.client.HTTPException, ValueError) as exc:
        _say(f"error: {prepared.where}: {str(exc) or type(exc).__name__}")
    except KeyboardInterrupt:
        return 130
    finally:
        connection.close()
    return 1


def _print(response: http.client.HTTPResponse) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for_people = sys.stdout.isatty()
    while piece := response.read1(64 * 1024):
        if for_people:
            sys.stdout.write(printable(decoder.decode(piece)))
            sys.stdout.flush()
        else:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    if for_people:
        sys.stdout.write("\n")


def _connection(url: str) -> tuple[http.client.HTTPConnection, str, str]:
    """Return a connection, its URL to show, and the path that the URL has."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise Unsendable(f"--url: {exc}") from exc
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise Unsendable("--url must be such as http://127.0.0.1:8080")
    https = parts.scheme == "https"
    kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
    shown = f"[{host}]" if ":" in host else host
    where = f"{parts.scheme}://{shown}" + (f":{port}" if port else "")
    return kind(host, port, timeout=_PATIENCE), where, parts.path.rstrip("/")


def _bound(bind: str) -> tuple[http.client.HTTPConnection, str, str]:
    if bind.startswith("unix:"):
        return _UnixConnection(bind.removeprefix("unix:")), bind, ""
    host, _, port = bind.rpartition(":")
    if port == "0":
        raise Unsendable("[server] bind leaves the port open; say where the gateway is with --url")
    # A gateway that listens on every address is reached on the loopback address.
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104
    return _connection(f"http://{host}:{port}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _say(text: str) -> None:
    sys.stderr.write(f"{printable_line(text)}\n")
    sys.stderr.flush()
