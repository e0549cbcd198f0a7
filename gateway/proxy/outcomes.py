"""How attempts and streams end, as those who have to act on it are told."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

import msgspec

from ..core.dialects.base import StreamRewriter
from ..core.records.record import EndReason
from ..core.records.usage import Usage
from ..core.routing.causes import Cause
from ..errors import CancelledByOperator, GatewayError, ShuttingDown
from .protocols import HeaderPairs, UpstreamResponse


class RawAnswer(msgspec.Struct, frozen=True):
    """A provider's answer as it came."""

    status: int
    headers: HeaderPairs
    body: bytes


class Failed(msgspec.Struct, frozen=True):
    """`answer` is there if the provider gave one; `retry_after` is in seconds.

    `told` is what a refusal in unknown words may tell the caller, "" if it tells nothing: it may be
    about the request, or about our key.
    """

    cause: Cause
    message: str
    status: int | None = None
    retry_after: float | None = None
    answer: RawAnswer | None = None
    told: str = ""


class Mask(Protocol):
    """Takes the keys of a call out of what its provider says."""

    def answer(self, data: bytes) -> bytes: ...

    def error(self, data: bytes) -> bytes: ...


class Committed(msgspec.Struct):
    """An answer to show. `output` is what there is of it so far, already rewritten.

    `rewriter` is None when the answer is not a stream, and then `output` is all of it, with
    about `text_tokens` of text where `usage` does not say it. `mask` takes the call's keys out of
    what is still to come. `kept_ids` are those of an answer that is not a stream.
    """

    response: UpstreamResponse
    output: bytes
    rewriter: StreamRewriter | None = None
    usage: Usage | None = None
    text_tokens: int = 0
    mask: Mask | None = None
    kept_ids: tuple[str, ...] = ()


class RelayEnd(msgspec.Struct, frozen=True):
    """How a relayed stream ended. `event` is an error event the provider sent itself.

    `cause` is what it says of the attempt, where that is not what `reason` says. `code` is what
    programs are told; None: the reason.
    """

    reason: EndReason
    message: str | None = None
    event: bytes | None = None
    cause: Cause | None = None
    code: str | None = None


class StoppedRequest(NamedTuple):
    """Why, in the words of attempts, of records and of people."""

    cause: Cause
    reason: EndReason
    message: str

    @property
    def failed(self) -> Failed:
        """Return what it means for an attempt before the commit."""
        return Failed(self.cause, self.message)

    @property
    def end(self) -> RelayEnd:
        """Return what it means for an answer after the commit."""
        return RelayEnd(self.reason, self.message)

    @property
    def error(self) -> GatewayError:
        """Return what the caller is told before its answer has begun."""
        if self.cause is Cause.SHUTDOWN:
            return ShuttingDown(self.message, retry_after=1)
        return CancelledByOperator(self.message)


SHUTDOWN: Final = StoppedRequest(
    Cause.SHUTDOWN, EndReason.SHUTTING_DOWN, "the gateway is shutting down"
)
CANCELLED: Final = StoppedRequest(
    Cause.CANCELLED, EndReason.CANCELLED, "an operator has cancelled the request"
)
BY_CAUSE: Final = {each.cause: each for each in (SHUTDOWN, CANCELLED)}
