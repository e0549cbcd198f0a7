"""Sentences for callers whom a limit keeps out."""

from __future__ import annotations

import math

from .account import LimitKind, Scope
from .budget import Budget


def message_of(scope: Scope, kind: LimitKind, tokens: int, wait: float, *, used_up: bool) -> str:
    """Return what to tell a caller whom the limit of that `kind` in `scope` refuses.

    `tokens` are those of its request and `wait` the seconds until it would be let in. `used_up`
    says of a budget that it is spent, and not only reserved.
    """
    limits = scope.limits
    match kind:
        case LimitKind.REQUESTS:
            return f"rate limit reached for requests: limit {limits.rpm} per minute"
        case LimitKind.TOKENS:
            start = "rate limit reached for tokens" if wait < math.inf else "request too large"
            return f"{start}: limit {limits.tpm} per minute, about {tokens} requested"
        case LimitKind.CONCURRENT:
            return f"too many requests at once: limit {limits.max_concurrent}"
        case LimitKind.BUDGET:
            of = _budget(scope.budget) if scope.budget is not None else "your budget"
            if used_up:
                return f"you have used up {of}"
            return f"what is left of {of} is reserved for your requests under way"


def _budget(budget: Budget) -> str:
    window = "in total" if budget.window == "total" else f"per {budget.window}"
    return f"your budget of {budget.usd:.12g} USD {window}"
