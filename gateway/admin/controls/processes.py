"""The processes of all gateways on the database."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from ...control.paging import LIMIT, MAX_LIMIT, page_of, read_cursor
from ...store.control.processes import GONE, all_processes
from ...store.queries.cursor import check_limit
from ..request import AdminRequest, encoded

_MICRO = 1_000_000


class ProcessView(msgspec.Struct, frozen=True, kw_only=True):
    """`alive` says whether it has spoken within 15 s; `started` and `seen` are microseconds."""

    id: str
    host: str
    pid: int
    version: str
    started: int
    seen: int
    alive: bool
    state: dict[str, Any]


async def listed(request: AdminRequest) -> Response:
    """Answer with a page of processes by host, as `rows` and `next`."""
    request.only("cursor", "limit")
    limit = request.number("limit", LIMIT)
    check_limit(limit, MAX_LIMIT)
    after = read_cursor(request.text("cursor", ""), "processes")
    rows = {
        f"{row.host} {row.started:.6f} {row.id}": ProcessView(
            id=row.id,
            host=row.host,
            pid=row.pid,
            version=row.version,
            started=round(row.started * _MICRO),
            seen=round(row.seen * _MICRO),
            alive=request.now - row.seen < GONE,
            state=row.state,
        )
        for row in await request.database.read(all_processes)
    }
    shown = sorted(name for name in rows if name > after)[: limit + 1]
    return encoded(page_of([rows[name] for name in shown], shown, limit, "processes"))
