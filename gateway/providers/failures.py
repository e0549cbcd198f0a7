"""How each kind of provider says no: its statuses and its words, and what they mean.

A word counts only with its source; `core/routing/refusals.py` says how a table is read.
"""

from __future__ import annotations

from typing import Final

from ..core.routing.causes import Cause
from ..core.routing.refusals import Mark, RefusalTable

_REJECTED: Final = frozenset({Cause.REJECTED})
_LIMITED: Final = frozenset({Cause.RATE_LIMITED})
# A content filter answers 400 or, as OpenRouter, with a 403 that has nothing to do with the key.
_FILTERED: Final = frozenset({Cause.REJECTED, Cause.AUTH_FAILED})
_FILTER_STATUSES: Final = frozenset({400, 403})

# Beside the classes: 4xx is a refusal of the request, 5xx a failure of the provider.
STATUSES: Final = {
    401: Cause.AUTH_FAILED,
    402: Cause.AUTH_FAILED,  # DeepSeek, OpenRouter: our balance there is spent
    403: Cause.AUTH_FAILED,
    407: Cause.PROTOCOL_VIOLATION,
    408: Cause.SERVER_ERROR,
    429: Cause.RATE_LIMITED,
}

# OpenAI says 429 for that too (its error codes guide), but no wait cures it.
QUOTA: Final = Mark(b'"insufficient_quota"', Cause.AUTH_FAILED, _LIMITED)

CONTEXT_LENGTH: Final = tuple(
    Mark(words, Cause.CONTEXT_LENGTH, _REJECTED)
    for words in (
        b'"context_length_exceeded"',  # OpenAI, Azure, Groq: the error's code
        b"maximum context length",  # vLLM, DeepSeek, OpenRouter: the message
        b"prompt is too long",  # Anthropic
    )
)
CONTENT_POLICY: Final = tuple(
    Mark(words, Cause.CONTENT_POLICY, _FILTERED, _FILTER_STATUSES)
    for words in (
        b'"content_policy_violation"',  # OpenAI
        b'"content_filter"',  # Azure
        b"flagged_input",  # OpenRouter
    )
)

# Servers that speak OpenAI's API relay the words of whatever is behind them.
OPENAI_COMPATIBLE: Final = RefusalTable(STATUSES, (QUOTA, *CONTEXT_LENGTH, *CONTENT_POLICY))
