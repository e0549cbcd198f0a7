"""The link to make the first user with, printed at the start as long as there is no user."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog
import trio

from ...admin.accounts.tokens import digest_of, new_token
from ...core.admin_path import HERE
from ...core.sign_in import is_loopback
from ...errors import StoreUnavailable
from ...store.accounts import setup_links, users
from ...store.engine.database import Database

_MINUTES: Final = 30
_PAGE: Final = "/setup"
_ANYWHERE: Final = {"", "0.0.0.0", "::"}  # noqa: S104  # compared, not listened on

_log = structlog.get_logger(__name__)


async def offer_setup(
    database: Database,
    opened: trio.Event,
    bind: str,
    clock: Callable[[], float] = time.time,
    *,
    page: bool = True,
    path: str = HERE,
    secure: bool = False,
) -> None:
    """Once the database is there, make a link and log it, unless there is a user or no `page`.

    `bind` is the address of the pages, and `path` is what they are below. An address that this
    machine cannot reach as itself gets no link: the link works from this machine only. `secure`:
    it speaks TLS.
    """
    origin = local_origin(bind)
    if origin is None or not page:
        return
    if secure:
        origin = origin.replace("http:", "https:", 1)
    await opened.wait()
    token, now = new_token(), round(clock() * 1_000_000)
    try:
        # Asked first, since nearly every start finds a user and need not wait for the writer.
        if await database.read(users.exist):
            return
        offered = await database.write(
            lambda connection: setup_links.offer(
                connection, digest_of(token), now=now, seconds=_MINUTES * 60
            )
        )
    except StoreUnavailable as exc:
        _log.warning("no link for the first user: restart the gateway", error=exc.message)
        return
    if offered:
        _log.warning(
            f"there is no user yet: open the link on this machine within {_MINUTES} minutes, or run"
            " `gateway users create NAME --role admin`",
            link=f"{origin}{path}{_PAGE}?token={token}",
        )


def local_origin(bind: str) -> str | None:
    """Return where this machine reaches the gateway through its loopback; None if it cannot."""
    if bind.startswith("unix:"):
        return None
    host, _, port = bind.rpartition(":")
    name = host.removeprefix("[").removesuffix("]")
    if int(port) == 0:
        return None
    if name in _ANYWHERE:
        return f"http://127.0.0.1:{port}"
    return f"http://{host}:{port}" if is_loopback(name) else None
