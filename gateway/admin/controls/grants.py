"""A secret for some minutes that stands for a key, over HTTP: what the playground calls with."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.responses import Response

from ...control import grants
from ...core.processes import GONE
from ...store.control.generations import Transaction
from ...store.control.processes import all_processes
from ..request import AdminRequest, encoded
from .audit import changed
from .capturing import key_in_files

_MICRO: Final = 1_000_000
# Milliseconds until each process has looked, which it does once a second.
_EVERYWHERE: Final = 1500


class GrantAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`secret` is shown this once, and is good until `expires`, in microseconds.

    Every process knows it after `usable_in_ms`; the one that answers does at once.
    """

    token: str
    secret: str
    expires: int
    usable_in_ms: int


async def create(request: AdminRequest) -> Response:
    """Make a secret that stands for a key for ten minutes."""
    request.only()
    token, in_files = request.argument, await key_in_files(request)
    made = await changed(
        request, lambda connection, actor: grants.create(connection, token, in_files, actor)
    )
    now = request.now

    def others(connection: Transaction) -> bool:
        return sum(now - each.seen < GONE for each in all_processes(connection)) > 1

    return encoded(
        GrantAnswer(
            token=token,
            secret=made.secret,
            expires=round(made.grant.until * _MICRO),
            usable_in_ms=_EVERYWHERE if await request.database.read(others) else 0,
        ),
        201,
    )
