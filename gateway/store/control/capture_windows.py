"""Keys whose requests the debug log keeps for a while."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert, or_, select

from ..engine.control_tables import capture_windows

_of: Final = capture_windows.c
_MICRO: Final = 1_000_000


class CaptureWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Until when, in Unix seconds, the requests of the key `token` are kept, by whom and why."""

    token: str
    until: float
    opened_by: str | None = None
    reason: str | None = None


def open_windows(connection: Connection, now: float) -> list[CaptureWindow]:
    """Return those that are not over, the first to end first."""
    query = select(capture_windows).where(_of.until > round(now * _MICRO))
    return [
        CaptureWindow(
            token=row.token,
            until=row.until / _MICRO,
            opened_by=row.opened_by,
            reason=row.reason,
        )
        for row in connection.execute(query.order_by(_of.until, _of.token))
    ]


def put(connection: Connection, window: CaptureWindow, now: float) -> None:
    """Put `window` in the place of the one of its key, and forget those that are over."""
    remove(connection, window.token, now)
    connection.execute(
        insert(capture_windows).values(
            token=window.token,
            until=round(window.until * _MICRO),
            opened_by=window.opened_by,
            reason=window.reason,
        )
    )


def remove(connection: Connection, token: str, now: float) -> None:
    over = _of.until <= round(now * _MICRO)
    connection.execute(delete(capture_windows).where(or_(_of.token == token, over)))
