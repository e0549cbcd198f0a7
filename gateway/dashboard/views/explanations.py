"""Words for states, causes and ends: what a person makes of a code."""

from __future__ import annotations

from typing import Final

from ...core.records.record import EndReason
from ...core.routing.balancing.strategies import StrategyName
from ...core.routing.causes import Cause, SkipReason

ENDS: Final[dict[str, str]] = {
    EndReason.COMPLETE: "answered",
    EndReason.CACHED: "answered from the cache",
    EndReason.CLIENT_GONE: "the caller left",
    EndReason.REJECTED: "refused by the gateway",
    EndReason.PROVIDER_REJECTED: "refused by the provider",
    EndReason.PROVIDERS_FAILED: "all providers failed",
    EndReason.UPSTREAM_BROKE: "the provider's stream broke",
    EndReason.CONNECT_TIMEOUT: "no connection in time",
    EndReason.FIRST_EVENT_TIMEOUT: "no first event in time",
    EndReason.IDLE_TIMEOUT: "the stream fell silent",
    EndReason.TOTAL_TIMEOUT: "took too long in all",
    EndReason.SEND_TIMEOUT: "the caller took nothing",
    EndReason.SHUTTING_DOWN: "cut by a shutdown",
    EndReason.CANCELLED: "cancelled by an operator",
    EndReason.INTERNAL_ERROR: "a mistake of the gateway",
}
CAUSES: Final[dict[str, str]] = {
    Cause.CONNECT_FAILED.value: "no connection",
    Cause.CERTIFICATE_REFUSED.value: "its certificate is not trusted",
    Cause.CONNECT_TIMEOUT.value: "no connection in time",
    Cause.POOL_TIMEOUT.value: "no free connection in time",
    Cause.LOCAL_SHORTAGE.value: "this machine has no socket left",
    Cause.CONNECTION_LOST.value: "the connection was lost",
    Cause.STALE_CONNECTION.value: "an idle connection had been closed",
    Cause.PROTOCOL_VIOLATION.value: "what it sent is not as its API says",
    Cause.FIRST_EVENT_TIMEOUT.value: "no first event in time",
    Cause.IDLE_TIMEOUT.value: "the stream fell silent",
    Cause.TOTAL_TIMEOUT.value: "took too long in all",
    Cause.RATE_LIMITED.value: "the provider's rate limit",
    Cause.SERVER_ERROR.value: "an error of the provider",
    Cause.AUTH_FAILED.value: "the provider refuses the key",
    Cause.CANCELLED.value: "cancelled by an operator",
    Cause.STALE_CREDENTIAL.value: "its access token was over",
    Cause.ACCOUNT_REFUSED.value: "the provider refuses the account",
    Cause.REJECTED.value: "the provider refuses the request",
    Cause.CONTEXT_LENGTH.value: "too long for the model",
    Cause.CONTENT_POLICY.value: "refused for its content",
    Cause.REQUEST_TOO_LARGE.value: "too large for this deployment",
    Cause.UNSUPPORTED.value: "the model cannot do this",
    Cause.STREAM_ERROR.value: "an error inside the stream",
    Cause.EMPTY_STREAM.value: "an empty stream",
    Cause.NOT_A_STREAM.value: "no stream, though one was asked for",
    Cause.UNREADABLE.value: "an answer in an unknown form",
    Cause.TRUNCATED.value: "the answer broke off",
    Cause.HEDGED.value: "another attempt was faster",
    Cause.CLIENT_GONE.value: "the caller left",
    Cause.ABANDONED.value: "the caller left after a long wait",
    Cause.SHUTDOWN.value: "cut by a shutdown",
    Cause.INTERNAL.value: "a mistake of the gateway",
}
SKIPS: Final[dict[str, str]] = {
    SkipReason.CIRCUIT_OPEN.value: "its breaker is open",
    SkipReason.RATE_LIMITED.value: "all its keys are at their rate limit",
    SkipReason.KEYS_REFUSED.value: "the provider refuses its keys",
    SkipReason.BUSY.value: "all places of the provider are taken",
    SkipReason.DRAINED.value: "drained by an operator",
    SkipReason.OVER_LIMIT.value: "over the limits configured for the provider",
    SkipReason.RETRY_BUDGET.value: "its retry budget is used up",
    SkipReason.CANNOT_SERVE.value: "its model cannot serve this request",
    SkipReason.NO_IMAGES.value: "it takes no images",
    SkipReason.NO_DOCUMENTS.value: "it takes no documents",
    SkipReason.NO_AUDIO.value: "it takes no audio",
    SkipReason.NO_TOOLS.value: "it cannot call tools",
    SkipReason.NO_PARALLEL_TOOLS.value: "it cannot call tools in parallel",
    SkipReason.NO_STRUCTURED_OUTPUT.value: "it cannot answer by a schema",
    SkipReason.NO_THINKING.value: "it does not think",
    SkipReason.NO_STREAMING.value: "it does not stream",
    SkipReason.CONTEXT_TOO_SMALL.value: "the prompt is longer than its context",
    SkipReason.BODY_TOO_LARGE.value: "its provider takes no request of that many bytes",
    SkipReason.ANSWER_TOO_LONG.value: "more tokens are asked for than it answers",
}
# Why a deployment was asked first, by the strategy of its model.
CHOICES: Final[dict[StrategyName, str]] = {
    "priority": "first in the order of the configuration",
    "weighted": "drawn by weight",
    "round_robin": "next in turn",
    "least_busy": "the least busy",
    "lowest_latency": "the quickest lately",
    "cheapest": "the cheapest",
    "sticky": "where this caller's requests go",
}
