"""One attempt: call a deployment and read on until its answer deserves to be shown.

An attempt ends in `Committed`, which owns the provider's response, or in `Failed`, which owns
nothing. A stream is committed by its first *meaningful* event: a 200 whose first event is an
error, or that ends or stalls before any content, has failed, and another deployment may still
answer since the caller has seen no more than a preface (`preface.py`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec
import trio

from ...core.dialects.base import Answer, NotAnAnswer, StreamRewriter
from ...core.routing.call import Call
from ...core.routing.causes import Cause
from ...core.routing.cooldown import asked_wait
from ...core.routing.deployment import Credential, Deployment
from ...core.routing.timeouts import deadline
from ...core.wire.plain_text import is_text
from ...errors import InvalidRequest, SendStalled
from ...stops import RunningScope, running_after
from ...transport_errors import (
    CertificateRefused,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    CredentialUnavailable,
    LocalShortage,
    PoolTimeout,
    ProtocolViolation,
    StaleConnection,
    UnreadableBody,
    UpstreamFailure,
)
from ..outcomes import Committed, Failed, RawAnswer
from ..protocols import Upstream, UpstreamResponse
from .own_keys import mask_of
from .preface import Preface
from .reading.body import headers_shown, read_up_to, readable
from .reading.first_events import read_stream
from .reading.reported_error import ERROR_BYTES, reported_error, wait_of
from .reading.whole import Reader, read_whole

# A refusal that is relayed is read whole. OpenAI's longest repeat a prompt's beginning; what is
# larger than this is no error message, and half of it must not be sent as if it were the whole.
RELAYED_ERROR_BYTES = 1024 * 1024
# Seconds that the body of a failed answer is waited for: errors are short.
ERROR_SECONDS = 5.0

_CAUSES = {
    ConnectFailed: Cause.CONNECT_FAILED,
    CertificateRefused: Cause.CERTIFICATE_REFUSED,
    ConnectTimeout: Cause.CONNECT_TIMEOUT,
    PoolTimeout: Cause.POOL_TIMEOUT,
    LocalShortage: Cause.LOCAL_SHORTAGE,
    ConnectionLost: Cause.CONNECTION_LOST,
    StaleConnection: Cause.STALE_CONNECTION,
    ProtocolViolation: Cause.PROTOCOL_VIOLATION,
    UnreadableBody: Cause.UNREADABLE,
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
    upstream: Upstream,
    prepared: PreparedCall,
    rewriter: StreamRewriter,
    limits: SizeLimits,
    preface: Preface | None = None,
) -> Committed | Failed:
    """Call for a stream. Every failure of the provider is a `Failed`.

    Raises SendStalled if the caller takes nothing of what `preface` shows it.
    """
    deployment, now = prepared.deployment, trio.current_time()
    with RunningScope(deadline(now, deployment.timeouts.first_event)):
        return await _attempt(
            upstream,
            prepared,
            lambda got: _read_stream(got, deployment, rewriter, limits, preface),
            preface,
        )
    if preface is not None and preface.writing:
        raise SendStalled("the client took nothing of what came before the first event")
    seconds = trio.current_time() - now
    return Failed(Cause.FIRST_EVENT_TIMEOUT, f"no content within {seconds:.3g} s")


async def attempt_answer(
    upstream: Upstream,
    prepared: PreparedCall,
    rewrite: Callable[[bytes], Answer],
    reader: Reader | None,
    limits: SizeLimits,
) -> Committed | Failed:
    """Call for a whole answer and read it. Raises nothing but Cancelled."""
    deployment = prepared.deployment
    return await _attempt(
        upstream, prepared, lambda got: _read_answer(got, deployment, rewrite, reader, limits)
    )


async def _attempt(
    upstream: Upstream,
    prepared: PreparedCall,
    read: Callable[[UpstreamResponse], Awaitable[Committed | Failed]],
    preface: Preface | None = None,
) -> Committed | Failed:
    outcome: Committed | Failed | None = None
    call, prepare = prepared.call, prepared.deployment.prepare
    try:
        if prepare is not None:
            call = await prepare(call, prepared.credential, time.time())
        mask = mask_of(call.headers)
        if preface is not None:
            preface.mask = mask
        response = headers_shown(readable(await upstream.request(call)), mask.headers)
        try:
            outcome = await read(response)
        finally:
            if not isinstance(outcome, Committed):
                await response.aclose()
    except UpstreamFailure as exc:
        outcome = failed_by(exc)
    if isinstance(outcome, Failed) and outcome.cause is Cause.AUTH_FAILED and outcome.status == 401:
        renew = prepared.deployment.renew
        if renew is not None and renew(call):
            outcome = msgspec.structs.replace(outcome, cause=Cause.STALE_CREDENTIAL)
    if isinstance(outcome, Committed):
        outcome.output, outcome.mask = mask.answer(outcome.output), mask
        return outcome
    return mask_of(call.headers).failed(outcome)


def failed_by(exc: UpstreamFailure) -> Failed:
    """Return what an exchange that failed in the transport means."""
    return Failed(_CAUSES.get(type(exc), Cause.PROTOCOL_VIOLATION), str(exc))


async def _read_stream(
    response: UpstreamResponse,
    deployment: Deployment,
    rewriter: StreamRewriter,
    limits: SizeLimits,
    preface: Preface | None,
) -> Committed | Failed:
    if (cause := deployment.refusals.of_status(response.status)) is not None:
        return await read_refusal(response, deployment, cause, limits)
    return await read_stream(response, deployment, rewriter, limits.response, preface)


async def _read_answer(
    response: UpstreamResponse,
    deployment: Deployment,
    rewrite: Callable[[bytes], Answer],
    reader: Reader | None,
    limits: SizeLimits,
) -> Committed | Failed:
    if (cause := deployment.refusals.of_status(response.status)) is not None:
        return await read_refusal(response, deployment, cause, limits)
    idle = deployment.timeouts.idle
    body = await read_whole(response, limits.response, idle, reader)
    if body is None:
        message = f"the answer stalled for {idle:g} s"
        return Failed(Cause.IDLE_TIMEOUT, message, response.status)
    if deployment.completed is not None:
        body = deployment.completed(response.headers, body)
    try:
        answer = rewrite(body)
    except NotAnAnswer as exc:
        if exc.error is not None:
            return reported_error(response, deployment, exc.error, str(exc))
        cause = Cause.UNREADABLE if exc.final else Cause.PROTOCOL_VIOLATION
        return Failed(cause, str(exc), response.status)
    return Committed(
        response,
        answer.body,
        usage=answer.usage,
        text_tokens=answer.text_tokens,
        kept_ids=answer.kept_ids,
    )


async def read_refusal(
    response: UpstreamResponse,
    deployment: Deployment,
    cause: Cause,
    limits: SizeLimits,
    *,
    whole: bool = False,
) -> Failed:
    """Read a failed answer; all of it if it is to be relayed, a little for its message if not.

    `whole` says that it is, whatever the cause.
    """
    relayed = whole or cause is Cause.REJECTED
    with running_after(ERROR_SECONDS):
        limit = min(limits.response, RELAYED_ERROR_BYTES)
        try:
            body = await read_up_to(response, limit + 1 if relayed else ERROR_BYTES)
        except UnreadableBody as exc:
            return _unreadable_error(response, deployment, cause, str(exc))
        if len(body) > limit:
            message = f"{response.status}, and its body is larger than {limit} bytes"
            return Failed(Cause.UNREADABLE, message, response.status)
        if relayed and not is_text(body):
            return _unreadable_error(response, deployment, cause, "its body is no text")
        refusals, said = deployment.refusals, deployment.dialect.read_error(body)
        cause = refusals.of_body(cause, response.status, body[:ERROR_BYTES])
        return Failed(
            cause,
            f"{response.status} {said}".rstrip(),
            response.status,
            wait_of(response, deployment, body),
            RawAnswer(response.status, response.headers, body),
            refusals.to_tell(cause, response.status, said),
        )
    # The status is news enough; the caller's own error replaces a body that never came.
    return Failed(
        cause if not relayed else Cause.PROTOCOL_VIOLATION,
        f"{response.status}, and its body stalled",
        response.status,
        asked_wait(response.headers, time.time()),
    )


def _unreadable_error(
    response: UpstreamResponse, deployment: Deployment, cause: Cause, why: str
) -> Failed:
    """Return the failure of an error whose body cannot be read; its status still counts."""
    said = f"the provider refused the request, and its reason cannot be read: {why}"
    headers, body = deployment.dialect.error_reply(InvalidRequest(said, code="provider_rejected"))
    return Failed(
        cause,
        f"{response.status}, and {why}",
        response.status,
        asked_wait(response.headers, time.time()),
        RawAnswer(response.status, headers, body),
    )
