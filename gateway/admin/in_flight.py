"""The requests that this process is answering right now."""

from __future__ import annotations

from typing import Final

import msgspec
import trio
from starlette.responses import Response

from ..proxy.in_flight import InFlightRow
from ..store.queries.cursor import check_limit
from .request import AdminRequest, encoded

_LIMIT: Final = 100
# As for the pages of the logs. Rows are made on the event loop: a thousand take some 3 ms.
MAX_LIMIT: Final = 1000


class InFlightList(msgspec.Struct, frozen=True):
    """The oldest exchanges under way, oldest first; `total` counts those left out as well."""

    rows: list[InFlightRow]
    total: int


async def in_flight(request: AdminRequest) -> Response:
    """Answer with the exchanges under way (see `InFlightList`)."""
    request.only("limit")
    limit = request.number("limit", _LIMIT)
    check_limit(limit, MAX_LIMIT)
    exchanges = request.resources.services.in_flight
    rows = list(exchanges.rows(trio.current_time(), limit))
    request.viewed("in-flight")
    return encoded(InFlightList(rows, len(exchanges)))
