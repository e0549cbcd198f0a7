"""What most dialects have in common: answers in JSON, streams of server-sent events."""

from __future__ import annotations

from collections.abc import Sequence

from ..base import DialectRequest
from ..error_words import read_error


def headers_of(kind: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of a stream of the content type `kind`."""
    return (
        (b"content-type", kind),
        (b"cache-control", b"no-cache"),
        # nginx buffers answers unless told otherwise (ngx_http_proxy_module, proxy_buffering).
        (b"x-accel-buffering", b"no"),
    )


class PlainDialect:
    """The part of a `base.Dialect` that a class which extends it need not say.

    It does say how errors look, how a stream is kept alive, and how models are listed.
    """

    name: str
    operation: str
    path: str
    stream_headers: Sequence[tuple[bytes, bytes]] = headers_of(b"text/event-stream; charset=utf-8")
    stream_marks = frozenset[bytes]()
    provider_headers = frozenset[bytes]()
    answer_headers: Sequence[tuple[bytes, bytes]] = ((b"content-type", b"application/json"),)
    limit_headers = frozenset[bytes]()
    id_headers: tuple[bytes, ...] = ()
    opens_once = False
    closes_failed = False

    def __repr__(self) -> str:
        return f"<Dialect {self.name}>"

    def read_request(self, body: bytes) -> DialectRequest:
        raise NotImplementedError

    def token_count(self, tokens: int) -> bytes:
        raise NotImplementedError("the API counts no tokens")

    def target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        return base_path + self.path.encode("ascii")

    def count_target(self, base_path: bytes, model: str) -> bytes | None:
        return None

    def error_status(self, body: bytes) -> int | None:
        # Most errors have no code of their own: their status is HTTP's.
        return None

    def read_error(self, body: bytes) -> str:
        return read_error(body)
