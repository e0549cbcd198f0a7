"""Read a stream up to its commit: until there is content, or a reason why there will be none."""

from __future__ import annotations

from typing import Final

from ....core.dialects.base import MAX_HELD, NotAnAnswer, StreamRewriter
from ....core.routing.causes import Cause
from ....core.routing.deployment import Deployment
from ....core.wire.sse import begins, first_byte, looks_like_events
from ...outcomes import Committed, Failed
from ...protocols import UpstreamResponse
from ..preface import Preface
from .body import opened, read_up_to
from .reported_error import reported_error

# What is read of a page instead of a stream, before the connection is closed.
_PAGE_BYTES: Final = 64 * 1024
# How JSON and HTML begin, whatever the type says that they are sent under.
_UNSTREAMED: Final = (b"{", b"[", b'"', b"<")
_DOCUMENTS: Final = (b"application/json", b"text/html")


async def read_stream(
    response: UpstreamResponse,
    deployment: Deployment,
    rewriter: StreamRewriter,
    max_response_bytes: int,
    preface: Preface | None,
) -> Committed | Failed:
    """Read on until the stream deserves to be shown. Raises UpstreamFailure, SendStalled.

    The bytes decide whether it is a stream, not its content-type: servers and proxies send
    events under `application/json` and `text/html`, and JSON under `text/event-stream`.
    """
    response, chunk = await opened(response)
    start = chunk
    while chunk and not begins(start) and len(start) <= MAX_HELD:
        chunk = await response.receive_some()
        start += chunk
    if rewriter.by_lines:
        # Each line looks like a whole answer, and the last one is one.
        other = first_byte(start) == b"<"
    else:
        other = not looks_like_events(start) and _is_document(response, start)
    if other:
        return await _read_unstreamed(response, start, deployment, rewriter, max_response_bytes)
    held = b""
    chunk = start
    while True:
        held += rewriter.feed(chunk) if chunk else rewriter.end()
        if rewriter.error is not None and not rewriter.meaningful:
            what = "the stream began with an error"
            return reported_error(response, deployment, rewriter.error, what)
        if rewriter.broken is not None and not rewriter.meaningful:
            return Failed(Cause.PROTOCOL_VIOLATION, rewriter.broken, response.status)
        if rewriter.meaningful or len(held) > MAX_HELD:
            return Committed(response, held, rewriter)
        if rewriter.done or not chunk:
            return Failed(
                Cause.EMPTY_STREAM, "the stream ended before any content", response.status
            )
        if held and preface is not None and preface.due(progressed=rewriter.progressed):
            held = await preface.show(deployment, response, held)
        chunk = await response.receive_some()


def _is_document(response: UpstreamResponse, start: bytes) -> bool:
    return first_byte(start) in _UNSTREAMED or _content_type(response).startswith(_DOCUMENTS)


async def _read_unstreamed(
    response: UpstreamResponse,
    start: bytes,
    deployment: Deployment,
    rewriter: StreamRewriter,
    limit: int,
) -> Committed | Failed:
    """Make a stream of a whole answer, or say what came instead of one."""
    why = ""
    # Gemini's compatible endpoint puts its errors into a list.
    if first_byte(start) in (b"{", b"["):
        body = await read_up_to(response, limit, start)
        try:
            output = rewriter.feed_answer(body)
        except NotAnAnswer as exc:
            if exc.error is not None:
                return reported_error(response, deployment, exc.error, str(exc))
            why = str(exc)
        else:
            if rewriter.meaningful and rewriter.broken is None:
                return Committed(response, output, rewriter)
            why = rewriter.broken or "an answer without any content instead of a stream"
    else:
        await read_up_to(response, _PAGE_BYTES, start)
        kind = _content_type(response).partition(b";")[0].decode("latin-1") or "something else"
        why = f"{kind} instead of a stream"
    return Failed(Cause.NOT_A_STREAM, why, response.status)


def _content_type(response: UpstreamResponse) -> bytes:
    for name, value in response.headers:
        if name == b"content-type":
            return value.lower()
    return b""
