"""What a report of usage says that its answer cost.

cost                USD: OpenRouter, and as an object Perplexity
estimated_cost      USD: DeepInfra
cost_in_usd_ticks   xAI: 10^10 ticks are a dollar (docs.x.ai/developers/cost-tracking)
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

_DOLLARS: Final = ("cost", "total_cost", "estimated_cost")
_TICKS: Final = "cost_in_usd_ticks"
_TICKS_PER_NANO: Final = 10
_TICKS_PER_USD: Final = 10**10
_NANO_PER_USD: Final = 1_000_000_000
# More than any answer costs; an exponent of a million digits would take all memory.
_MOST_USD: Final = 10**6
COSTS: Final = frozenset((*_DOLLARS, _TICKS))


def cost_of(found: Mapping[str, Any]) -> int | None:
    """Return the cost in nano-dollars; None if the report says none."""
    ticks = _decimal(found.get(_TICKS))
    if ticks is not None and ticks / _TICKS_PER_USD < _MOST_USD:
        return round(ticks / _TICKS_PER_NANO)
    for name in _DOLLARS:
        value = found.get(name)
        if isinstance(value, dict):
            value = value.get("total_cost")
        dollars = _decimal(value)
        if dollars is not None and dollars < _MOST_USD:
            return round(dollars * _NANO_PER_USD)
    return None


def _decimal(value: object) -> Decimal | None:
    """Return a number that is not negative; None for anything else."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        # The text of a float is the number as it was written.
        found = Decimal(str(value))
    except (InvalidOperation, ValueError):
        # Python refuses to write out integers of more than 4,300 digits.
        return None
    return found if found.is_finite() and found >= 0 else None
