"""Tasks beside the requests, which must not take the gateway with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import trio

# Seconds until a task that failed is started again.
AGAIN: Final = 1.0

_log = structlog.get_logger(__name__)


async def persist(run: Callable[[], Awaitable[None]]) -> None:
    """Run a task that must not take the gateway with it, whatever it meets; again if it failed."""
    while True:
        try:
            await run()
        except Exception:  # noqa: BLE001  # logged whole; requests go on
            _log.exception("a task failed and is started again", task=repr(run))
            await trio.sleep(AGAIN)
        else:
            return
