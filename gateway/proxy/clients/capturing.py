"""Notes what a caller is sent for the debug log, if its request is wanted there."""

from __future__ import annotations

from typing import Final

import structlog
import trio

from ...core.capture.capture import Capture, CapturedRequest
from ...core.dialects.base import Dialect
from ...errors import GatewayError
from ..exchange import Exchange
from ..protocols import Client, HeaderPairs
from .pass_through import PassThroughClient

# Server-sent events, and Amazon's frames (smithy.io, "Amazon Event Stream Specification").
_STREAMS: Final = (
    *(b"text/event-stream", b"application/vnd.amazon.eventstream"),
    b"application/x-ndjson",
)

_log = structlog.get_logger(__name__)


def keep(
    exchange: Exchange,
    model: str,
    body: bytes | None,
    key: bytes | None,
    *,
    method: str = "POST",
    target: str | None = None,
) -> None:
    """Keep what is written to the caller from now on, with the request, if it is selected.

    `body` is None for one that is passed on as it comes, and held nowhere; `target` is the
    dialect's path unless it says another. A request that is for no model has the name "".
    """
    dialect = exchange.dialect
    capture = begun(
        exchange,
        model,
        body,
        key,
        method=method,
        target=dialect.path if target is None else target,
        marks=dialect.stream_marks,
    )
    if capture is None:
        return
    exchange.settlement.capture = capture
    exchange.client = CapturingClient(exchange.client, capture, dialect)


def begun(
    exchange: Exchange,
    model: str,
    body: bytes | None,
    key: bytes | None,
    *,
    method: str,
    target: str,
    marks: frozenset[bytes] = frozenset(),
) -> Capture | None:
    """Return what keeps an exchange for the debug log, with its request; None if it is not wanted.

    The arguments are those of `keep`.
    """
    captures, record = exchange.services.captures, exchange.record
    if captures is None or not captures.selects(exchange.caller.name, model):
        return None
    return captures.begin(
        CapturedRequest(
            request_id=record.request_id,
            time=record.time,
            token=record.token,
            model=record.model,
            method=method,
            target=target,
            headers=tuple(exchange.headers.items()),
            body=body or b"",
            passed_on=body is None,
            arrived=exchange.started,
            secrets=() if key is None else (key,),
            marks=marks,
        )
    )


class CapturingClient(PassThroughClient):
    """Passes everything on, and notes what is written before it is.

    So a write that stalls or is cancelled has been noted: what a caller was not sent for lack
    of reading is worth seeing. What the server adds to a head of its own accord is not seen.
    """

    __slots__ = ("_capture", "_dialect")

    def __init__(self, client: Client, capture: Capture, dialect: Dialect) -> None:
        super().__init__(client)
        self._capture = capture
        self._dialect = dialect

    def __repr__(self) -> str:
        return f"<CapturingClient {self._capture!r}>"

    async def begin(self, status: int, headers: HeaderPairs) -> None:
        self._head(status, headers, stream=_is_stream(headers))
        await self._client.begin(status, headers)

    async def send(self, data: bytes) -> None:
        self._add(data)
        await self._client.send(data)

    async def finish(self, data: bytes) -> None:
        self._add(data)
        await self._client.finish(data)

    async def reply(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        self._head(status, headers, stream=False)
        self._add(body)
        await self._client.reply(status, headers, body)

    async def keep_alive(self, data: bytes) -> None:
        self._add(data)
        await self._client.keep_alive(data)

    async def refuse(self, error: GatewayError) -> None:
        headers, body = self._dialect.error_reply(error, self._capture.request.request_id)
        self._head(error.status, headers, stream=False)
        self._add(body)
        await self._client.refuse(error)

    def _head(self, status: int, headers: HeaderPairs, *, stream: bool) -> None:
        try:
            self._capture.head(status, headers, trio.current_time(), stream=stream)
        except Exception:  # noqa: BLE001  # the caller gets the answer all the same
            self._give_up()

    def _add(self, data: bytes) -> None:
        try:
            self._capture.add(data, trio.current_time())
        except Exception:  # noqa: BLE001  # the same
            self._give_up()

    def _give_up(self) -> None:
        if not self._capture.given_up:
            _log.exception("an answer could not be captured")
        self._capture.given_up = True
        self._capture.release()


def _is_stream(headers: HeaderPairs) -> bool:
    for name, value in headers:
        if name == b"content-type":
            return value.lower().startswith(_STREAMS)
    return False
