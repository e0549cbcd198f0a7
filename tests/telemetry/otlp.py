"""A collector: takes OTLP over HTTP on a loopback port, and keeps the spans it is sent."""

from __future__ import annotations

import contextlib
import gzip
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

KINDS = {Span.SPAN_KIND_SERVER: "server", Span.SPAN_KIND_CLIENT: "client"}
STATUSES = {
    Status.STATUS_CODE_UNSET: "unset",
    Status.STATUS_CODE_OK: "ok",
    Status.STATUS_CODE_ERROR: "error",
}


@dataclass
class ReceivedSpan:
    """A span as it came; ids are hexadecimal, times nanoseconds, no parent is empty."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    start: int
    end: int
    status: str
    message: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: str
    remote_parent: bool


@dataclass
class Receiver:
    """Answers with `status` and `headers`, but not before `release`d if it `hangs`.

    Only what is answered with 200 is in `spans` and `batches`; `bodies` and `heads` have all.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    spans: list[ReceivedSpan] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._released = threading.Event()
        self._connections: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Receiver:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/traces"

    def start(self) -> None:
        """Listen; again on the same port if it was stopped."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                receiver._connections.add(self.connection)

            def finish(self) -> None:
                receiver._connections.discard(self.connection)
                super().finish()

            def do_POST(self) -> None:
                receiver._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on, and end those there are; what hangs is let go."""
        self.release()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in tuple(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        self.hangs = False
        self._released.set()

    def by_kind(self, kind: str) -> list[ReceivedSpan]:
        return [span for span in self.spans if span.kind == kind]

    def wait(self, until: Callable[[Receiver], bool], seconds: float = 10.0) -> None:
        """Block until it is so; for tests that are no coroutines."""
        end = time.monotonic() + seconds
        while not until(self):
            assert time.monotonic() < end, f"not within {seconds} s"
            time.sleep(0.005)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        self.heads.append({name.lower(): value for name, value in handler.headers.items()})
        self.paths.append(handler.path)
        if handler.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.bodies.append(body)
        status, headers = self.status, self.headers
        if self.hangs:
            self._released.wait(30)
        if status == 200:
            found = list(_spans(ExportTraceServiceRequest.FromString(body)))
            self.spans += found
            self.batches.append(len(found))
        answer = ExportTraceServiceResponse().SerializeToString()
        try:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("content-type", "application/x-protobuf")
            handler.send_header("content-length", str(len(answer)))
            handler.end_headers()
            handler.wfile.write(answer)
        except OSError:
            # A client that was kept waiting may have left.
            handler.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that were cut."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _spans(request: ExportTraceServiceRequest) -> Iterable[ReceivedSpan]:
    for resource in request.resource_spans:
        about = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield ReceivedSpan(
                    name=span.name,
                    kind=KINDS[span.kind],
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    state=span.trace_state,
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    status=STATUSES[span.status.code],
                    message=span.status.message,
                    attributes=_attributes(span.attributes),
                    resource=about,
                    scope=scope.scope.name,
                    # SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK of trace.proto.
                    remote_parent=bool(span.flags & 0x200),
                )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    assert which in ("string_value", "bool_value", "int_value", "double_value"), which
    return getattr(value, which)
