"""The debug log for one key for a while, over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio
from starlette.responses import Response

from ...config.callers import ANYONE
from ...control import capturing
from ...control.capturing import (
    DEFAULT_WINDOW,
    WindowChange,
    WindowReason,
    Windows,
    WindowSeconds,
)
from ...store.control.capture_windows import open_windows
from ..request import AdminRequest, encoded
from .audit import changed

_MICRO = 1_000_000


class CaptureRequest(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"seconds": "for"}
):
    """For how many seconds, and why."""

    seconds: WindowSeconds = DEFAULT_WINDOW
    reason: WindowReason = ""


class WindowView(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of the key `token` are kept `until` then, in microseconds; None: not kept."""

    token: str
    until: int | None
    opened_by: str | None = None
    reason: str | None = None


class WindowList(msgspec.Struct, frozen=True):
    rows: list[WindowView]


async def listed(request: AdminRequest) -> Response:
    """Answer with the keys that are captured for a while, the first to end first."""
    request.only()
    return encoded(WindowList([_view(WindowChange(each.token, each, None))
                               for each in (await windows(request)).rows]))  # fmt: skip


async def start(request: AdminRequest) -> Response:
    """Keep all requests of a key whole for a while."""
    request.only()
    wanted = await request.json(CaptureRequest) if await request.http.body() else CaptureRequest()
    return encoded(_view(await started(request, request.argument, wanted)))


async def stop(request: AdminRequest) -> Response:
    """Keep the requests of a key no longer than the settings say."""
    request.only()
    return encoded(_view(await stopped(request, request.argument)))


async def windows(request: AdminRequest) -> Windows:
    """Return the windows that are open; none where nothing is kept."""
    if request.resources.database is None:
        return Windows([])
    now = request.now
    return Windows(await request.database.read(lambda connection: open_windows(connection, now)))


async def started(request: AdminRequest, token: str, wanted: CaptureRequest) -> WindowChange:
    in_files = await key_in_files(request)
    return await changed(
        request,
        lambda connection, actor: capturing.start(
            connection, token, wanted.seconds, wanted.reason, in_files, actor
        ),
    )


async def stopped(request: AdminRequest, token: str) -> WindowChange:
    return await changed(
        request, lambda connection, actor: capturing.stop(connection, token, actor)
    )


async def key_in_files(request: AdminRequest) -> Callable[[str], bool]:
    """Return what says whether the configuration itself lets somebody of a name call.

    Without any key that is everybody, who has a name in the records all the same.
    """
    tokens = request.resources.control.config.tokens
    names = await trio.to_thread.run_sync(lambda: {token.name for token in tokens})
    if request.resources.snapshot().open:
        names.add(ANYONE.name)
    return names.__contains__


def _view(change: WindowChange) -> WindowView:
    window = change.window
    if window is None:
        return WindowView(token=change.token, until=None)
    return WindowView(
        token=window.token,
        until=round(window.until * _MICRO),
        opened_by=window.opened_by,
        reason=window.reason,
    )
