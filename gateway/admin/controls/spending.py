"""Budgets over HTTP: what this process knows of them, which is what it goes by."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from ...control.key_view import KeyView
from ...control.paging import LIMIT, MAX_LIMIT, page_of, read_cursor
from ...control.spending import TeamState, scope_of, state_of
from ...store.queries.cursor import check_limit
from ..request import AdminRequest, encoded


async def with_spending(request: AdminRequest, keys: Sequence[KeyView]) -> list[KeyView]:
    """Return the keys with what is spent and left of their budgets."""
    limited = [key for key in keys if key.budget is not None]
    if not limited:
        return [*keys]
    statuses = await request.resources.services.limits.status([*map(scope_of, limited)])
    levels = {
        key.name: state_of(status.budget) for key, status in zip(limited, statuses, strict=False)
    }
    return [msgspec.structs.replace(key, spending=levels.get(key.name)) for key in keys]


async def teams(request: AdminRequest) -> Response:
    """Answer with a page of the teams of the configuration by name, as `rows` and `next`."""
    request.only("cursor", "limit")
    limit = request.number("limit", LIMIT)
    check_limit(limit, MAX_LIMIT)
    after = read_cursor(request.text("cursor", ""), "teams")
    control = request.resources.control
    known = sorted(control.config.teams, key=lambda team: team.name)
    found = [team for team in known if team.name > after][: limit + 1]
    statuses = await request.resources.services.limits.status([*map(scope_of, found)])
    rows = [
        TeamState(
            name=team.name,
            source=control.reload_status.path,
            rpm=team.rpm,
            tpm=team.tpm,
            max_concurrent=team.max_concurrent,
            budget=team.budget,
            spending=state_of(status.budget),
        )
        for team, status in zip(found, statuses, strict=False)
    ]
    return encoded(page_of(rows, [team.name for team in found], limit, "teams"))
