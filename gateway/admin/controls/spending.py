"""Budgets over HTTP: what this process knows of them, which is what it goes by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from ...control.key_view import KeyView
from ...control.spending import scope_of, state_of
from ...control.team_view import TeamState
from ..request import AdminRequest

Limited = TypeVar("Limited", bound=KeyView | TeamState)


async def with_spending(request: AdminRequest, found: Sequence[Limited]) -> list[Limited]:
    """Return keys or teams with what is spent and left of their budgets."""
    limited = [each for each in found if each.budget is not None]
    if not limited:
        return [*found]
    statuses = await request.resources.services.limits.status([*map(scope_of, limited)], exact=True)
    levels = {
        each.name: state_of(status.budget) for each, status in zip(limited, statuses, strict=False)
    }
    return [msgspec.structs.replace(each, spending=levels.get(each.name)) for each in found]
