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
from ...core.dialects.base import CUT, MAX_HELD, Answer, NotAnAnswer, StreamRewriter
from ...core.routing.call import Call, Headers
from ...core.routing.causes import Cause
from ...core.routing.cooldown import asked_wait
from ...core.routing.deployment import Credential, Deployment
from ...core.routing.timeouts import deadline
from ...errors import (
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    CredentialUnavailable,
    PoolTimeout,
    ProtocolViolation,
    UpstreamFailure,
)
from ..outcomes import Committed, Failed, RawAnswer
from ..protocols import Upstream, UpstreamResponse

# What is read of a failed answer, for its message: errors are short, and nobody waits long
# for one.
ERROR_BYTES = 64 * 1024
ERROR_SECONDS = 5.0

_CREDENTIALS = frozenset({b"authorization", b"api-key", b"x-api-key"})

_CAUSES = {
    ConnectFailed: Cause.CONNECT_FAILED,
    ConnectTimeout: Cause.CONNECT_TIMEOUT,
    PoolTimeout: Cause.POOL_TIMEOUT,
    ConnectionLost: Cause.CONNECTION_LOST,
    ProtocolViolation: Cause.PROTOCOL_VIOLATION,
    CredentialUnavailable: Cause.AUTH_FAILED,
}


class PreparedCall(msgspec.Struct, frozen=True):
    """A call, whose it is and with which credential; the deployment may have more to add to it."""

    call: Call
    deployment: Deployment
    credential: Credential


class SizeLimits(msgspec.Struct, frozen=True):
    """Sizes in bytes."""

    event: int
    response: int


async def attempt_stream(
    upstream: Upstream, prepared: PreparedCall, rewriter: StreamRewriter, limits: SizeLimits
) -> Committed | Failed:
    """Call for a stream. Raises nothing but Cancelled: every failure is a `Failed`."""
    deployment, now = prepared.deployment, trio.current_time()
    with trio.CancelScope(deadline=deadline(now, deployment.timeouts.first_event)):
        return await _attempt(
            upstream, prepared, lambda got: _read_stream(got, deployment, rewriter, limits)
        )
    seconds = trio.current_time() - now
    return Failed(Cause.FIRST_EVENT_TIMEOUT, f"no content within {seconds:.3g} s")


async def attempt_answer(
    upstream: Upstream,
    prepared: PreparedCall,
    rewrite: Callable[[bytes], Answer],
    limits: SizeLimits,
) -> Committed | Failed:
    """Call for a whole answer and read it. Raises nothing but Cancelled."""
    deployment = prepared.deployment
    return await _attempt(
        upstream, prepared, lambda got: _read_answer(got, deployment, rewrite, limits)
    )


async def _attempt(
    upstream: Upstream,
    prepared: PreparedCall,
    read: Callable[[UpstreamResponse], Awaitable[Committed | Failed]],
) -> Committed | Failed:
    outcome: Committed | Failed | None = None
    call, prepare = prepared.call, prepared.deployment.prepare
    try:
        if prepare is not None:
            call = await prepare(call, prepared.credential, time.time())
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
    if message.endswith(CUT):
        # What was shortened may end in the beginning of it.
        begun = message.removesuffix(CUT)
        known = next((n for n in range(len(text), 3, -1) if begun.endswith(text[:n])), 0)
        message = begun[: len(begun) - known] + CUT
    if answer is not None and key in answer.body:
        answer = msgspec.structs.replace(answer, body=answer.body.replace(key, b"***"))
    if message == failed.message and answer is failed.answer:
        return failed
    return msgspec.structs.replace(failed, message=message, answer=answer)


async def _read_stream(
    response: UpstreamResponse,
    deployment: Deployment,
    rewriter: StreamRewriter,
    limits: SizeLimits,
) -> Committed | Failed:
    if (cause := deployment.refusals.of_status(response.status)) is not None:
        return await _read_error(response, deployment, cause, limits)
    if _content_type(response).startswith((b"application/json", b"text/html")):
        return await _read_unstreamed(response, deployment)
    held = b""
    while True:
        chunk = await response.receive_some()
        held += rewriter.feed(chunk)
        if rewriter.broken is not None and not rewriter.meaningful:
            return Failed(Cause.PROTOCOL_VIOLATION, rewriter.broken, response.status)
        if rewriter.error is not None and not rewriter.meaningful:
            said = deployment.dialect.read_error(rewriter.error)
            message = f"the stream began with an error: {said}"
            return Failed(Cause.STREAM_ERROR, message, response.status)
        if rewriter.meaningful or len(held) > MAX_HELD:
            return Committed(response, held, rewriter)
        if rewriter.done or not chunk:
            return Failed(
                Cause.EMPTY_STREAM, "the stream ended before any content", response.status
            )


async def _read_answer(
    response: UpstreamResponse,
    deployment: Deployment,
    rewrite: Callable[[bytes], Answer],
    limits: SizeLimits,
) -> Committed | Failed:
    if (cause := deployment.refusals.of_status(response.status)) is not None:
        return await _read_error(response, deployment, cause, limits)
    idle = deployment.timeouts.idle
    body = await _read(response, limits.response, idle)
    if body is None:
        message = f"the answer stalled for {idle:g} s"
        return Failed(Cause.IDLE_TIMEOUT, message, response.status)
    try:
        answer = rewrite(body)
    except NotAnAnswer as exc:
        cause = Cause.STREAM_ERROR if exc.error else Cause.PROTOCOL_VIOLATION
        message = f"{exc}: {deployment.dialect.read_error(body)}" if exc.error else str(exc)
        return Failed(cause, message, response.status)
    return Committed(response, answer.body, usage=answer.usage, text_tokens=answer.text_tokens)


async def _read_error(
    response: UpstreamResponse, deployment: Deployment, cause: Cause, limits: SizeLimits
) -> Failed:
    """Read a failed answer; all of it if it is to be relayed, a little for its message if not."""
    relayed = cause is Cause.REJECTED
    with trio.move_on_after(ERROR_SECONDS):
        limit = limits.response if relayed else ERROR_BYTES
        body = await _read_up_to(response, limit)
        return Failed(
            deployment.refusals.of_body(cause, response.status, body[:ERROR_BYTES]),
            f"{response.status} {deployment.dialect.read_error(body)}".rstrip(),
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


async def _read_unstreamed(response: UpstreamResponse, deployment: Deployment) -> Failed:
    body = b""
    with trio.move_on_after(ERROR_SECONDS):
        body = await _read_up_to(response, ERROR_BYTES)
    kind = _content_type(response).partition(b";")[0].decode("latin-1")
    message = f"{kind} instead of a stream"
    if b'"error"' in body:
        # Otherwise it may be a whole answer, which has no place in messages and logs.
        said = deployment.dialect.read_error(body)
        return Failed(Cause.STREAM_ERROR, f"{message}: {said}", response.status)
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


def _content_type(response: UpstreamResponse) -> bytes:
    for name, value in response.headers:
        if name == b"content-type":
            return value.lower()
    return b""
