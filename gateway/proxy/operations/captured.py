"""Keeps a request and its answer for the debug log, if it is wanted there."""

from __future__ import annotations

from ...core.capture.capture import CapturedRequest
from ..capture import CapturingClient
from ..exchange import Exchange


def keep(exchange: Exchange, model: str, body: bytes, key: bytes | None) -> None:
    """Keep what is written to the caller from now on, with the request, if it is selected.

    `body` is empty for one that is passed on as it comes, and held nowhere.
    """
    captures, record = exchange.services.captures, exchange.record
    if captures is None or not captures.selects(exchange.caller.name, model):
        return
    capture = captures.begin(
        CapturedRequest(
            request_id=record.request_id,
            time=record.time,
            token=record.token,
            model=record.model,
            method="POST",
            target=exchange.dialect.path,
            headers=tuple(exchange.headers.items()),
            body=body,
            arrived=exchange.started,
            secrets=() if key is None else (key,),
            marks=exchange.dialect.stream_marks,
        )
    )
    if capture is None:
        return
    exchange.settlement.capture = capture
    exchange.client = CapturingClient(exchange.client, capture, exchange.dialect)
