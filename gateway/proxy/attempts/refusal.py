"""Refusals that the caller is shown: as they came, or only the words of those that are not known.

A 402 or 403 in unknown words may be about our key or about this one request. While the key is not
doubted, since no other caller was refused, the caller is told what the provider says, without the
provider's own body: that may name our account. Once the key is set aside it is a fault of ours.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ...core.dialects.base import Dialect
from ...core.records.record import COUNT_TOKENS
from ...core.routing.causes import Cause
from ...core.routing.deployment import Deployment
from ...errors import InvalidRequest
from ..outcomes import Failed, RawAnswer
from ..protocols import HeaderPairs
from .answer_headers import refusal_headers

# A provider with the caller's API says so of a counter that it does not have.
_NO_COUNTER: Final = frozenset({404, 405, 501})
# A refusal of the request itself is shown as it came.
RELAYED: Final = frozenset(
    {
        Cause.REJECTED,
        Cause.CONTEXT_LENGTH,
        Cause.CONTENT_POLICY,
        Cause.REQUEST_TOO_LARGE,
        Cause.UNSUPPORTED,
    }
)


def shown_refusal(
    deployment: Deployment, failed: Failed, dialect: Dialect, *, limited: bool
) -> tuple[RawAnswer, HeaderPairs] | None:
    """Return what the caller gets of a refusal, and its headers; None if it is not shown.

    A caller that speaks another `dialect` than the provider gets the provider's words in its own.
    """
    answer = failed.answer
    if answer is not None and dialect.operation == COUNT_TOKENS and answer.status in _NO_COUNTER:
        return None
    if answer is None or not (failed.cause in RELAYED or failed.told):
        return None
    if failed.told:
        said = InvalidRequest(failed.told, code="provider_rejected")
        headers, body = dialect.error_reply(said)
        answer = RawAnswer(answer.status, headers, body)
        failed = msgspec.structs.replace(failed, answer=answer)
    elif not deployment.takes(dialect):
        answer = _translated(deployment, failed, answer, dialect)
        failed = msgspec.structs.replace(failed, answer=answer)
    return answer, refusal_headers(deployment, failed, limited=limited)


def _translated(
    deployment: Deployment, failed: Failed, answer: RawAnswer, dialect: Dialect
) -> RawAnswer:
    said = deployment.dialect.read_error(answer.body)
    too_long = failed.cause is Cause.CONTEXT_LENGTH
    body = dialect.refusal_body(answer.status, said, too_long=too_long)
    headers = [pair for pair in answer.headers if pair[0] != b"content-type"]
    return RawAnswer(answer.status, headers, body)
