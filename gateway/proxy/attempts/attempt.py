"""One attempt: call a deployment and read on until its answer deserves to be shown.

An attempt ends in `Committed`, which owns the provider's response, or in `Failed`, which owns
nothing. A stream is committed by its first *meaningful* event: a 200 whose first event is an
error, or that ends or stalls before any content, has failed, and another deployment may still
answer since the caller has not seen a byte.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import trio

from ...core.capture.redaction import MIN_SECRET, is_credential
from ...core.dialects.openai_chat.answer import NotAnAnswer, rewrite_answer
from ...core.dialects.openai_chat.stream import MAX_HELD, StreamRewriter
from ...core.records.usage import Usage
from ...core.routing.call import Call, Headers
from ...core.routing.causes import Cause, of_refusal, of_status
from ...core.routing.cooldown import asked_wait
from ...core.routing.timeouts import Timeouts, deadline
from ...errors import (
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    PoolTimeout,
    ProtocolViolation,
    UpstreamFailure,
)
from ..protocols import HeaderPairs, Upstream, UpstreamResponse

# What is read of a failed answer, for its message: errors are short, and nobody waits long
# for one.
ERROR_BYTES = 64 * 1024
ERROR_SECONDS = 5.0

_CUT = "..."
_CREDENTIALS = frozenset({b"authorization", b"api-key", b"x-api-key"})

_CAUSES = {
    ConnectFailed: Cause.CONNECT_FAILED,
    ConnectTimeout: Cause.CONNECT_TIMEOUT,
    PoolTimeout: Cause.POOL_TIMEOUT,
    ConnectionLost: Cause.CONNECTION_LOST,
    ProtocolViolation: Cause.PROTOCOL_VIOLATION,
}


class RawAnswer(msgspec.Struct, frozen=True):
    """A provider's answer as it came."""

    status: int
    headers: HeaderPairs
    body: bytes


class Failed(msgspec.Struct, frozen=True):
    """`answer` is there if the provider gave one; `retry_after` is in seconds."""

    cause: Cause
    message: str
    status: int | None = None
    retry_after: float | None = None
    answer: RawAnswer | None = None


class Committed(msgspec.Struct):
    """An answer to show. `output` is what there is of it so far, already rewritten.

    `rewriter` is None when the answer is not a stream, and then `output` is all of it. `sent`
    are the call's headers, which a provider may still quote.
    """

    response: UpstreamResponse
    output: bytes
    rewriter: StreamRewriter | None = None
    usage: Usage | None = None
    sent: Headers = ()


class SizeLimits(msgspec.Struct, frozen=True):
    """Sizes in bytes."""

    event: int
    response: int


async def attempt_stream(
    upstream: Upstream, call: Call, rewriter: StreamRewriter, timeouts: Timeouts, limits: SizeLimits
) -> Committed | Failed:
    """Call for a stream. Raises nothing but Cancelled: every failure is a `Failed`."""
    now = trio.current_time()
    with trio.CancelScope(deadline=deadline(now, timeouts.first_event)):
        return await _attempt(upstream, call, lambda got: _read_stream(got, rewriter, limits))
    seconds = trio.current_time() - now
    return Failed(Cause.FIRST_EVENT_TIMEOUT, f"no content within {seconds:.3g} s")


async def attempt_answer(
    upstream: Upstream, call: Call, model: bytes, timeouts: Timeouts, limits: SizeLimits
) -> Committed | Failed:
    """Call for a whole answer and read it. Raises nothing but Cancelled."""
    return await _attempt(upstream, call, lambda got: _read_answer(got, model, timeouts, limits))


async def _attempt(
    upstream: Upstream,
    call: Call,
    read: Callable[[UpstreamResponse], Awaitable[Committed | Failed]],
) -> Committed | Failed:
    outcome: Committed | Failed | None = None
    try:
        response = await upstream.request(call)
        try:
            outcome = await read(response)
        finally:
            if not isinstance(outcome, Committed):
                await response.aclose()
    except UpstreamFailure as exc:
        outcome = Failed(_CAUSES.get(type(exc), Cause.PROTOCOL_VIOLATION), str(exc))
    if isinstance(outcome, Committed):
        outcome.sent = call.headers
        return outcome
    for key in _secrets(call.headers):
        outcome = _without(outcome, key)
    return outcome


def without_secrets(data: bytes, sent: Headers) -> bytes:
    """Take our keys out of what a provider said: some repeat the whole of one in an error."""
    for key in _secrets(sent):
        data = data.replace(key, b"***")
    return data


def _secrets(sent: Headers) -> Iterator[bytes]:
    for name, value in sent:
        secret = value.rpartition(b" ")[2]
        # Of other headers we only go by the name; what is short is hardly a secret there.
        if (secret and name in _CREDENTIALS) or (
            len(secret) >= MIN_SECRET and is_credential(name.decode("latin-1"))
        ):
            yield secret


def _without(failed: Failed, key: bytes) -> Failed:
    text, message, answer = key.decode("latin-1"), failed.message, failed.answer
    message = message.replace(text, "***")
    if message.endswith(_CUT):
        # What was shortened may end in the beginning of it.
        begun = message.removesuffix(_CUT)
        known = next((n for n in range(len(text), 3, -1) if begun.endswith(text[:n])), 0)
        message = begun[: len(begun) - known] + _CUT
    if answer is not None and key in answer.body:
        answer = msgspec.structs.replace(answer, body=answer.body.replace(key, b"***"))
    if message == failed.message and answer is failed.answer:
        return failed
    return msgspec.structs.replace(failed, message=message, answer=answer)


async def _read_stream(
    response: UpstreamResponse, rewriter: StreamRewriter, limits: SizeLimits
) -> Committed | Failed:
    if (cause := of_status(response.status)) is not None:
        return await _read_error(response, cause, limits)
    if _content_type(response).startswith((b"application/json", b"text/html")):
        return await _read_unstreamed(response)
    held = b""
    while True:
        chunk = await response.receive_some()
        held += rewriter.feed(chunk)
        if rewriter.broken is not None and not rewriter.meaningful:
            return Failed(Cause.PROTOCOL_VIOLATION, rewriter.broken, response.status)
        if rewriter.error is not None and not rewriter.meaningful:
            message = f"the stream began with an error: {error_message(rewriter.error)}"
            return Failed(Cause.STREAM_ERROR, message, response.status)
        if rewriter.meaningful or len(held) > MAX_HELD:
            return Committed(response, held, rewriter)
        if rewriter.done or not chunk:
            return Failed(
                Cause.EMPTY_STREAM, "the stream ended before any content", response.status
            )


async def _read_answer(
    response: UpstreamResponse, model: bytes, timeouts: Timeouts, limits: SizeLimits
) -> Committed | Failed:
    if (cause := of_status(response.status)) is not None:
        return await _read_error(response, cause, limits)
    body = await _read(response, limits.response, timeouts.idle)
    if body is None:
        message = f"the answer stalled for {timeouts.idle:g} s"
        return Failed(Cause.IDLE_TIMEOUT, message, response.status)
    try:
        answer = rewrite_answer(body, model)
    except NotAnAnswer as exc:
        cause = Cause.STREAM_ERROR if exc.error else Cause.PROTOCOL_VIOLATION
        message = f"{exc}: {error_message(body)}" if exc.error else str(exc)
        return Failed(cause, message, response.status)
    return Committed(response, answer.body, usage=answer.usage)


async def _read_error(response: UpstreamResponse, cause: Cause, limits: SizeLimits) -> Failed:
    """Read a failed answer; all of it if it is to be relayed, a little for its message if not."""
    relayed = cause is Cause.REJECTED
    with trio.move_on_after(ERROR_SECONDS):
        limit = limits.response if relayed else ERROR_BYTES
        body = await _read_up_to(response, limit)
        return Failed(
            of_refusal(cause, response.status, body[:ERROR_BYTES]),
            f"{response.status} {error_message(body)}".rstrip(),
            response.status,
            asked_wait(response.headers, time.time()),
            RawAnswer(response.status, response.headers, body),
        )
    # The status is news enough; the caller's own error replaces a body that never came.
    return Failed(
        cause if not relayed else Cause.PROTOCOL_VIOLATION,
        f"{response.status}, and its body stalled",
        response.status,
        asked_wait(response.headers, time.time()),
    )


async def _read_unstreamed(response: UpstreamResponse) -> Failed:
    body = b""
    with trio.move_on_after(ERROR_SECONDS):
        body = await _read_up_to(response, ERROR_BYTES)
    kind = _content_type(response).partition(b";")[0].decode("latin-1")
    message = f"{kind} instead of a stream"
    if b'"error"' in body:
        # Otherwise it may be a whole answer, which has no place in messages and logs.
        return Failed(Cause.STREAM_ERROR, f"{message}: {error_message(body)}", response.status)
    return Failed(Cause.NOT_A_STREAM, message, response.status)


async def _read(response: UpstreamResponse, limit: int, idle: float) -> bytes | None:
    """Return the whole body, or None if it stalled for `idle` seconds."""
    pieces: list[bytes] = []
    size = 0
    with trio.CancelScope(deadline=deadline(trio.current_time(), idle)) as silence:
        while piece := await response.receive_some():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise ProtocolViolation(f"the answer is larger than {limit} bytes")
            silence.deadline = deadline(trio.current_time(), idle)
        return b"".join(pieces)
    return None


async def _read_up_to(response: UpstreamResponse, limit: int) -> bytes:
    """Return at most `limit` bytes; more is left unread, and so the connection is closed."""
    body = bytearray()
    # A broken error answer is still that error, with what was received of it.
    with contextlib.suppress(UpstreamFailure):
        while len(body) < limit and (piece := await response.receive_some()):
            body += piece
    return bytes(body[:limit])


def error_message(body: bytes) -> str:
    """Return what an error answer says, for a person: short, on one line."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if isinstance(found, dict):
        error = found.get("error", found)
        message = error.get("message") if isinstance(error, dict) else error
        if isinstance(message, str):
            return _short(message)
    return _short(body[:1000].decode("utf-8", "replace"))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else line[:297] + _CUT


def _content_type(response: UpstreamResponse) -> bytes:
    for name, value in response.headers:
        if name == b"content-type":
            return value.lower()
    return b""
