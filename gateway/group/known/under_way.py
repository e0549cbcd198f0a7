"""Requests under way in processes that can't be asked, as each last said."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

import msgspec

from ...core.processes import SILENT, UNDER_WAY, ProcessRow
from ...proxy.in_flight import InFlightRow

_MICRO: Final = 1_000_000


class GroupRow(InFlightRow, frozen=True):
    """A request under way, and the process that answers it."""

    pid: int
    host: str | None = None


def told_requests(
    rows: Iterable[ProcessRow], now: float, asked: Collection[tuple[str, int]] = ()
) -> tuple[list[GroupRow], int]:
    """Return the requests of all processes but those that were `asked`, and how many there are.

    Those are by host and process id. A process that is silent counts as if it had none.
    """
    found: list[GroupRow] = []
    total = 0
    for row in rows:
        if now - row.seen >= SILENT or (row.host, row.pid) in asked:
            continue
        told = row.state.get(UNDER_WAY)
        told = told if isinstance(told, list) else []
        said = row.state.get("in_flight")
        total += said if isinstance(said, int) else len(told)
        found += [each for one in told if (each := _row(one, row, now)) is not None]
    found.sort(key=lambda each: (each.started, each.request_id))
    return found, total


def _row(told: Any, process: ProcessRow, now: float) -> GroupRow | None:
    try:
        known = {"client_ip": None, "age_s": 0.0, **told, "pid": process.pid, "host": process.host}
        row = msgspec.convert(known, GroupRow)
    except (msgspec.ValidationError, TypeError):
        # Of another version, which says it in another way.
        return None
    return msgspec.structs.replace(row, age_s=round(max(0.0, now - row.started / _MICRO), 3))
