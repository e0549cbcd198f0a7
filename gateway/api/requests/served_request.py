"""What ASGI gives for one request, and what our own server (`serve/cycle.py`) adds to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ServedRequest(Protocol):
    """What our own server tells of a request, in the scope's extension `gateway.request`."""

    def take_arrived(self) -> bytes | None:
        """Return the body if all of it has arrived."""
        ...

    def when_gone(self, call: Callable[[Message], None] | None) -> None:
        """Call this with what `receive` would return once the caller has left; None: do not."""
        ...

    def send_part(self, body: bytes) -> bool | None:
        """Send a part of the answer if that needs no waiting; say whether all of it is sent.

        None if nothing was done. The rest of a part goes with the next `send`, of nothing as well.
        """
        ...


def served_request(scope: Mapping[str, Any]) -> ServedRequest | None:
    """Return what the server says of the request in `scope`; None from any other server."""
    # Some have no extensions at all (ASGI, "Extensions").
    request = (scope.get("extensions") or {}).get("gateway.request")
    served: ServedRequest | None = None if request is None else request["served"]
    return served
