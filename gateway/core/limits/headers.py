"""OpenAI's rate limit headers (platform.openai.com/docs/guides/rate-limits, "in headers").

A caller paces itself by them, so in each dimension they speak of the scope with the least left:
that is where it would be stopped. The three numbers of a dimension always come from one scope,
and a dimension without any limit has no headers at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from .bucket import BucketLevel
from .budget import NANO_PER_USD, BudgetLevel
from .ledger import LimitStatus

_Names = tuple[bytes, bytes, bytes]

# Our own, since OpenAI has none for money. What is left is after what this request reserves.
BUDGET_LIMIT: Final = b"x-gateway-budget-limit-usd"
BUDGET_LEFT: Final = b"x-gateway-budget-remaining-usd"
BUDGET_RESET: Final = b"x-gateway-budget-reset"

_REQUESTS: Final[_Names] = (
    b"x-ratelimit-limit-requests",
    b"x-ratelimit-remaining-requests",
    b"x-ratelimit-reset-requests",
)
_TOKENS: Final[_Names] = (
    b"x-ratelimit-limit-tokens",
    b"x-ratelimit-remaining-tokens",
    b"x-ratelimit-reset-tokens",
)


def rate_limit_headers(statuses: Sequence[LimitStatus]) -> list[tuple[bytes, bytes]]:
    """Return the headers for a request that passed these scopes, its own token's first.

    Of two scopes with as much left, the first is the one to speak of.
    """
    requests: BucketLevel | None = None
    tokens: BucketLevel | None = None
    budget: BudgetLevel | None = None
    for status in statuses:
        level = status.requests
        if level is not None and (requests is None or level.remaining < requests.remaining):
            requests = level
        level = status.tokens
        if level is not None and (tokens is None or level.remaining < tokens.remaining):
            tokens = level
        money = status.budget
        if money is not None and (budget is None or money.left < budget.left):
            budget = money
    headers: list[tuple[bytes, bytes]] = []
    for names, level in ((_REQUESTS, requests), (_TOKENS, tokens)):
        if level is not None:
            limit, remaining, reset = names
            headers.append((limit, b"%d" % level.limit))
            headers.append((remaining, b"%d" % level.remaining))
            headers.append((reset, duration(level.reset)))
    if budget is not None:
        headers.append((BUDGET_LIMIT, _usd(budget.limit)))
        headers.append((BUDGET_LEFT, _usd(budget.left)))
        if budget.reset is not None:
            headers.append((BUDGET_RESET, duration(budget.reset)))
    return headers


def _usd(nano: int) -> bytes:
    """Write nano-dollars as dollars, exactly and with at least two digits behind the point."""
    whole, rest = divmod(nano, NANO_PER_USD)
    digits = b"%09d" % rest
    return b"%d.%s" % (whole, digits[:2] + digits[2:].rstrip(b"0"))


def duration(seconds: float) -> bytes:
    """Write `seconds` as OpenAI does, which is as Go does: `20ms`, `1s`, `6m0s`, `1h2m3.5s`.

    To the millisecond, rounded up: a caller that comes back when told must not come too early.
    """
    # The little that is left out is what floats have added to 12.172 * 1000.
    milliseconds = math.ceil(seconds * 1000 - 1e-4)
    if milliseconds <= 0:
        return b"0s"
    if milliseconds < 1000:
        return b"%dms" % milliseconds
    whole, part = divmod(milliseconds, 1000)
    minutes, rest = divmod(whole, 60)
    last = b"%d.%03d" % (rest, part)
    text = last.rstrip(b"0") if part else b"%d" % rest
    if not minutes:
        return text + b"s"
    if minutes < 60:
        return b"%dm%ss" % (minutes, text)
    return b"%dh%dm%ss" % (minutes // 60, minutes % 60, text)
