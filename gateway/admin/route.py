"""What a route of the admin API is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from starlette.types import ASGIApp

from .request import AdminRequest

Handler = Callable[[AdminRequest], Awaitable[ASGIApp]]

# Bytes of a body, unless the route says otherwise. Most routes need none; some clients send
# one, such as {}, with every POST.
BODY_BYTES: Final = 64 * 1024


class AdminRoute(NamedTuple):
    """`path` comes after /admin/api/, or begins with a slash and is a page for browsers.

    A GET takes HEAD as well. `body_bytes` bounds the body.
    """

    method: str
    path: str
    handler: Handler
    body_bytes: int = BODY_BYTES

    @property
    def is_page(self) -> bool:
        return self.path.startswith("/")

    @property
    def full_path(self) -> str:
        return self.path if self.is_page else f"/admin/api/{self.path}"
