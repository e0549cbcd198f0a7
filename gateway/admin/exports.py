"""Records as files, of any size: sent as they are read, a page in memory at a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import trio
from starlette.types import Receive, Scope, Send

from ..core.records.audit import AuditAction, AuditResult
from ..core.records.periods import BY_NAME
from ..errors import (
    ConfigError,
    GatewayError,
    InvalidRequest,
    Overloaded,
    SendStalled,
    ShuttingDown,
)
from ..group.exports import ExportProgress
from ..store.export.export import MEDIA_TYPES, Export, ExportFormat, ExportKind
from ..store.export.stream import ExportStream
from ..store.queries import filters
from ..store.queries.filters import AuditFilter, Filter
from .request import AdminRequest

# Each export keeps one of the four reading threads busy for half of the time. The rest is left
# to other requests.
AT_ONCE: Final = 4
_RETRY: Final = 10.0
# What an export may be watched by.
WORD: Final = "[0-9A-Za-z-]{8,64}"
_TRACK: Final = re.compile(WORD, re.ASCII)
_NO_WEIGHT: Final = re.compile(r"0(?:\.0{0,3})?")
Headers = list[tuple[bytes, bytes]]


class ExportEndpoints:
    """The exports of this process, at most `AT_ONCE` of them at the same time.

    One that is asked for with a `track`, a word of the caller's, can be watched by it.
    """

    async def requests(self, request: AdminRequest) -> Download:
        return await _download(request, ExportKind.REQUESTS)

    async def audit(self, request: AdminRequest) -> Download:
        return await _download(request, ExportKind.AUDIT)

    async def usage(self, request: AdminRequest) -> Download:
        return await _download(request, ExportKind.USAGE)


def accepts_gzip(header: str) -> bool:
    """Say whether an Accept-Encoding names gzip, or all, with a weight (RFC 9110, 12.5.3)."""
    weights: dict[str, bool] = {}
    for part in header.lower().split(","):
        coding, *parameters = (each.strip() for each in part.split(";"))
        given = (each[2:].strip() for each in parameters if each.startswith("q="))
        weights[coding] = not any(_NO_WEIGHT.fullmatch(each) for each in given)
    return next((weights[each] for each in ("gzip", "x-gzip", "*") if each in weights), False)


class Download:
    """One export on its way. If it breaks, the answer has no proper end, so that clients notice.

    It ends when the caller leaves, since everything of this request is cancelled then, and when
    the gateway stops, since it might go on for hours. The audit log says how it ended.
    """

    def __init__(
        self,
        request: AdminRequest,
        kind: ExportKind,
        export: Export,
        headers: Headers,
    ) -> None:
        self._exports = request.resources.exports
        self._request = request
        self._kind = kind
        self._export = export
        self._headers = headers
        self._stream = ExportStream(request.database, export)
        self._bytes = 0
        self._begun = False
        self._ended: str | None = None

    def progress(self) -> ExportProgress:
        """Return how far it has come."""
        part = 1.0 if self._ended == "done" else self._export.progress
        return ExportProgress(part, self._export.rows, self._ended)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await self._begin(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if self._exports.under_way >= AT_ONCE:
            raise Overloaded(f"{AT_ONCE} exports are under way already", retry_after=_RETRY)
        self._exports.under_way += 1
        try:
            await self._run(send)
        finally:
            self._exports.under_way -= 1

    async def _run(self, send: Send) -> None:
        # A cancellation with no other cause means that the caller has left.
        why: str | None = "client_gone"
        try:
            with trio.CancelScope() as stop:
                with self._request.resources.lifecycle.exchange(stop.cancel):
                    await self._send(send)
                why = None
            if why is not None and stop.cancelled_caught:
                why = ShuttingDown.code
                if not self._begun:
                    raise ShuttingDown("the gateway is shutting down", retry_after=1)
        except SendStalled:
            why = "stalled"
            raise
        except GatewayError as exc:
            why = exc.code
            raise
        except Exception:
            why = "internal_error"
            raise
        finally:
            self._note(why)

    async def _send(self, send: Send) -> None:
        # The first page before the head: what fails at once is answered with an error.
        chunk = await self._stream.next_chunk()
        await self._begin(send)
        while chunk is not None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            self._bytes += len(chunk)
            chunk = await self._stream.next_chunk()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, send: Send) -> None:
        self._begun = True
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})

    def _note(self, why: str | None) -> None:
        self._ended = "done" if why is None else why
        self._request.audit(
            AuditAction.EXPORTED,
            AuditResult.OK if why is None else AuditResult.FAILED,
            self._kind.value,
            filters=self._request.filters,
            rows=self._export.rows,
            bytes=self._bytes,
            **({} if why is None else {"aborted": why}),
        )


async def _download(request: AdminRequest, kind: ExportKind) -> Download:
    format_ = ExportFormat(request.text("format", "csv", [*ExportFormat]))
    period = BY_NAME[request.text("period", "hour", BY_NAME)]
    by_team = kind is ExportKind.USAGE and request.text("by", "", ("", "team")) == "team"
    # Parquet is compressed by itself.
    gzip = format_ is not ExportFormat.PARQUET and accepts_gzip(
        ",".join(request.http.headers.getlist("accept-encoding"))
    )
    try:
        wanted = _wanted(request, kind)
        # In a thread: pyarrow takes some hundred milliseconds to import.
        export = await trio.to_thread.run_sync(
            lambda: Export(kind, wanted, format_, gzip=gzip, period=period, by_team=by_team),
            abandon_on_cancel=True,
        )
    except ConfigError as exc:
        raise InvalidRequest(str(exc), param="format") from exc
    at = datetime.fromtimestamp(request.now, UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"{kind.value}-{at}.{format_.value}"
    headers = [
        (b"content-type", MEDIA_TYPES[format_].encode("ascii")),
        (b"content-disposition", f'attachment; filename="{name}"'.encode("ascii")),
        (b"vary", b"Accept-Encoding"),
    ]
    if gzip:
        headers.append((b"content-encoding", b"gzip"))
    download = Download(request, kind, export, headers)
    if track := request.text("track", ""):
        if not _TRACK.fullmatch(track):
            raise InvalidRequest("track must be 8 to 64 letters, digits or hyphens.", param="track")
        request.resources.exports.track(request.who, track, download.progress)
    return download


def _wanted(request: AdminRequest, kind: ExportKind) -> Filter | AuditFilter:
    if kind is ExportKind.AUDIT:
        return filters.parse_audit(request.params, request.now, {"format", "track"})
    also = {"format", "track"} | ({"period", "by"} if kind is ExportKind.USAGE else set())
    return filters.parse(request.params, request.now, also)
