"""An error that came with status 200: its own code says what it means."""

from __future__ import annotations

import time
from typing import Final

from ....core.routing.causes import Cause
from ....core.routing.cooldown import asked_wait
from ....core.routing.deployment import Deployment
from ...outcomes import Failed, RawAnswer
from ...protocols import UpstreamResponse

# What is looked at of an error: it is short.
ERROR_BYTES: Final = 64 * 1024
# What a status or its words can make of an error. Everything else, 5xx too, is a stream or an
# answer that began with an error.
_TOLD: Final = frozenset(
    {
        Cause.RATE_LIMITED,
        Cause.AUTH_FAILED,
        Cause.ACCOUNT_REFUSED,
        Cause.REJECTED,
        Cause.CONTEXT_LENGTH,
        Cause.CONTENT_POLICY,
        Cause.REQUEST_TOO_LARGE,
        Cause.UNSUPPORTED,
    }
)
_BAD_REQUEST: Final = 400


def reported_error(
    response: UpstreamResponse, deployment: Deployment, error: bytes, what: str
) -> Failed:
    """Return what the `error` of a 200 comes to, as if its code were the status.

    An error without a code may still have the words of a refusal; `what` begins the message.
    """
    refusals, dialect = deployment.refusals, deployment.dialect
    status = dialect.error_status(error)
    by_status = refusals.of_status(status or _BAD_REQUEST) or Cause.STREAM_ERROR
    cause = refusals.of_body(by_status, status or _BAD_REQUEST, error[:ERROR_BYTES])
    if cause not in _TOLD or (status is None and cause is Cause.REJECTED):
        cause = Cause.STREAM_ERROR
    # Head and body of the refusal that it would have been.
    headers = [pair for pair in response.headers if pair[0] != b"content-type"]
    said = dialect.read_error(error)
    return Failed(
        cause,
        f"{what}: {said}",
        response.status if cause is Cause.STREAM_ERROR else status,
        wait_of(response, deployment, error) if cause is Cause.RATE_LIMITED else None,
        RawAnswer(status or _BAD_REQUEST, (*headers, *dialect.answer_headers), error),
        refusals.to_tell(cause, status or _BAD_REQUEST, said),
    )


def wait_of(response: UpstreamResponse, deployment: Deployment, body: bytes) -> float | None:
    """Return the seconds that a refusal asks for, in its headers or, for some, in its `body`."""
    asked = asked_wait(response.headers, time.time())
    return deployment.refusals.wait_of(body[:ERROR_BYTES]) if asked is None else asked
