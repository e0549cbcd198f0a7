"""A request's body, sent while it still comes in and while the answer is waited for."""

from __future__ import annotations

from typing import Final

from ..core.routing.call import BodySource
from ..transport_errors import ConnectionLost, LocalShortage
from .connection import UpstreamConnection

_LAST_CHUNK: Final = b"0\r\n\r\n"


class BodySender:
    """Sends a head and a body on one connection, as a task of its own.

    `done` says that all of it was sent. `failure` is what the body raised: then nothing makes the
    request whole, and the connection is closed. That the connection was lost is for the task to
    find out that reads the answer: a server may refuse a body before its end, and close.
    """

    def __init__(self, connection: UpstreamConnection, head: bytes, body: BodySource) -> None:
        self.done = False
        self.failure: Exception | None = None
        self._connection: Final = connection
        self._head = head
        self._body: Final = body

    def __repr__(self) -> str:
        return f"<BodySender {'done' if self.done else self.failure or 'sending'}>"

    async def run(self) -> None:
        try:
            await self._send()
            self.done = True
        except (ConnectionLost, LocalShortage):
            return
        except Exception as exc:  # noqa: BLE001  # `Transport.upload` raises it
            self.failure = exc
            self._connection.close()

    async def _send(self) -> None:
        connection, body = self._connection, self._body
        chunked = body.length is None
        await connection.send(self._head, b"")
        while piece := await body.receive_some():
            if chunked:
                await connection.send(b"%x\r\n" % len(piece), piece + b"\r\n")
            else:
                await connection.send(b"", piece)
        if chunked:
            await connection.send(_LAST_CHUNK, b"")
