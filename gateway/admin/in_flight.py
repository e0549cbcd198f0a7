"""The requests that this process is answering right now."""

from __future__ import annotations

from typing import Final

import msgspec
import trio
from starlette.responses import Response

from ..control.changes import AuditNote
from ..core.records.audit import AuditAction, AuditResult
from ..errors import NotFound
from ..proxy.in_flight import InFlightRow
from ..store.control import cancellations
from ..store.control.generations import Transaction
from ..store.queries.cursor import check_limit
from .controls.audit import audit_change
from .request import AdminRequest, encoded

_LIMIT: Final = 100
_LONGEST_ID: Final = 200
# As for the pages of the logs. Rows are made on the event loop: a thousand take some 3 ms.
MAX_LIMIT: Final = 1000


class InFlightList(msgspec.Struct, frozen=True):
    """The oldest exchanges under way, oldest first; `total` counts those left out as well."""

    rows: list[InFlightRow]
    total: int


class Cancelled(msgspec.Struct, frozen=True):
    """How many requests of this process were cancelled; else whether other processes are asked.

    Those look within a second or two, and say nothing of what they have found.
    """

    cancelled: int
    others_asked: bool


async def cancel(request: AdminRequest) -> Response:
    """Cancel the requests of an id, in this process or in another on the database."""
    request.only()
    found = await cancelled(request)
    return encoded(found, 202 if found.others_asked else 200)


async def cancelled(request: AdminRequest) -> Cancelled:
    """Cancel them. Raises NotFound if none can be under way."""
    request_id, resources = request.argument, request.resources
    found = resources.services.in_flight.cancel(request_id)
    if found:
        details = {"token": found[0].token, "model": found[0].model, "requests": len(found)}
        request.audit(AuditAction.REQUEST_CANCELLED, AuditResult.OK, request_id, **details)
        return Cancelled(len(found), others_asked=False)
    if resources.database is None or len(request_id) > _LONGEST_ID:
        raise NotFound(f"no request {request_id!r} is under way")
    note = AuditNote(AuditAction.REQUEST_CANCELLED, request_id, {"others_asked": True})

    def ask(connection: Transaction) -> None:
        cancellations.ask(connection, request_id, request.now)
        audit_change(connection, request, note)

    await request.write(ask)
    return Cancelled(0, others_asked=True)


async def in_flight(request: AdminRequest) -> Response:
    """Answer with the exchanges under way (see `InFlightList`)."""
    request.only("limit")
    limit = request.number("limit", _LIMIT)
    check_limit(limit, MAX_LIMIT)
    exchanges = request.resources.services.in_flight
    rows = list(exchanges.rows(trio.current_time(), limit))
    request.viewed("in-flight")
    return encoded(InFlightList(rows, len(exchanges)))
