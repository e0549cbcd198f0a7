"""Rate limits, whatever their status, and requests that are larger than a limit as a whole.

The latter are refused with 429 like the others, but no wait cures them, and no other request is
concerned.
"""

from __future__ import annotations

import re
from typing import Final

from ...core.routing.causes import Cause
from ...core.routing.refusals import Mark
from .causes import AUTH, LIMITED, REJECTED, any_of

# A limit in other words than its status...

THROTTLED: Final = (
    # DashScope names its limit of a minute with OpenAI's code for an account without money
    # (help.aliyun.com/zh/model-studio/error-code, token-limit); `Throttling.AllocationQuota` is
    # the code of its own API.
    Mark(
        Cause.RATE_LIMITED,
        LIMITED,
        codes=frozenset({"throttling"}),
        words=any_of(r"\berror-code#token-limit\b", r"^allocated quota exceeded\b").search,
    ),
    Mark(
        Cause.RATE_LIMITED,
        REJECTED | AUTH,
        frozenset({400, 403}),
        codes=frozenset(
            {
                "throttlingexception",  # Bedrock, with 400
                "throttling",
                "rate_limit_exceeded",
                "rate_limit_error",
                "ratelimitexceeded",  # Google, with 403 (cloud.google.com/apis/design/errors)
                "userratelimitexceeded",
                "resource_exhausted",
            }
        ),
    ),
)

# The request is too large for this deployment's limits...

# OpenAI, Groq: "Limit 30000, Used 0, Requested 60000".
_LIMIT_AND_REQUEST: Final = re.compile(
    r"\blimit:? ?([\d,]+)(?:, used:? ?([\d,]+))?, requested:? ?([\d,]+)", re.IGNORECASE
)
# The other way round: "requested 70000 tokens, limit 60000".
_REQUEST_AND_LIMIT: Final = re.compile(
    r"\b(?:requested|token count|prompt|request)\b[^\d\n]{0,30}([\d,]+)[^\d\n]{1,60}"
    r"\blimit\b[^\d\n]{0,20}([\d,]+)",
    re.IGNORECASE,
)
_WORDS: Final = any_of(
    r"^request too large\b",  # OpenAI with 429; Groq with 413
    # Anthropic, unless it says that only a wait is needed ("your account's rate limit. Please
    # try again later").
    r"\bwould exceed the rate limit\b",
    r"\bwould exceed your \w+'?s? rate limit of [\d,]+ (input |output )?tokens\b",
    # Anthropic: only requests above 200,000 tokens are refused so.
    r"^(extra usage is|usage credits are) required for (long|1m) context\b",
    r"^(this |the |your )?(request|requested tokens|prompt) exceeds? [\w -]{0,40}limit\b",
    r"^this request requires more credits, or fewer max_tokens\b",  # OpenRouter, 402
    r"^prompt tokens limit exceeded: [\d,]+ >",  # OpenRouter, 402
)


def _number(digits: str | None) -> int:
    return int((digits or "0").replace(",", "") or 0)


def _too_large(message: str) -> bool:
    """Say whether a limit that was exceeded leaves no room for this request, ever."""
    if _WORDS.search(message):
        return True
    if (found := _LIMIT_AND_REQUEST.search(message)) is not None:
        return _number(found[3]) > _number(found[1])
    if (found := _REQUEST_AND_LIMIT.search(message)) is not None:
        return _number(found[1]) > _number(found[2]) > 0
    return False


REQUEST_TOO_LARGE: Final = (
    Mark(Cause.REQUEST_TOO_LARGE, LIMITED, frozenset({429}), words=_too_large),
    Mark(Cause.REQUEST_TOO_LARGE, AUTH, frozenset({402}), words=_too_large),
    # Groq's code tells its limit of a minute from a body of too many bytes.
    Mark(
        Cause.REQUEST_TOO_LARGE,
        REJECTED,
        frozenset({413}),
        codes=frozenset({"rate_limit_exceeded"}),
    ),
)
