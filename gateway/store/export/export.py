"""An export of requests, audit events or usage in one of three formats, of any number of rows.

Memory holds one page of rows (Parquet: one row group) at any time. An `Export` does the work,
a page at a `step`; the command line takes its pages by `export_chunks`, the API by `ExportStream`
(in `stream.py`).
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from ...core.records.periods import HOUR
from ..engine.schema import PERIODS
from ..queries.filters import AuditFilter, Filter
from .columns import ColumnSpec, TableFormat
from .csv_format import CsvFormat
from .jsonl_format import JsonlFormat
from .pager import PAGE_ROWS, Pager, RowSource
from .parquet_format import ParquetFormat
from .sources import AuditSource, RequestSource, UsageSource

if TYPE_CHECKING:
    from ..engine.database import Database


class ExportKind(enum.StrEnum):
    REQUESTS = "requests"
    AUDIT = "audit"
    USAGE = "usage"


class ExportFormat(enum.StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


# The CSV type is that of RFC 7111 with its header parameter; application/x-ndjson is the most usual
# for JSON lines; Parquet's is registered (iana.org/assignments/media-types).
MEDIA_TYPES: Final = {
    ExportFormat.CSV: "text/csv; charset=utf-8; header=present",
    ExportFormat.JSONL: "application/x-ndjson",
    ExportFormat.PARQUET: "application/vnd.apache.parquet",
}

_FORMATS: Final[dict[ExportFormat, Callable[[Sequence[ColumnSpec]], TableFormat]]] = {
    ExportFormat.CSV: CsvFormat,
    ExportFormat.JSONL: JsonlFormat,
    ExportFormat.PARQUET: ParquetFormat,
}
# zlib writes no time into the header, unlike the gzip module: the same rows give the same bytes.
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_GZIP_LEVEL: Final = 4


class Export:
    """One export, from its first step to its last; it cannot go on after a step that failed.

    `wanted` must be an AuditFilter for the audit log and a Filter for the rest; `period`, one of
    `PERIODS`, is for usage only. `rows` is how many have been written, `progress` from 0 to 1.
    Raises ConfigError if what the format needs is not installed, InvalidRequest if the kind
    cannot be filtered in this way; both before anything is read.
    """

    def __init__(
        self,
        kind: ExportKind,
        wanted: Filter | AuditFilter,
        format: ExportFormat = ExportFormat.CSV,
        *,
        gzip: bool = False,
        period: int = HOUR,
        by_team: bool = False,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        source = _source(kind, wanted, period, by_team=by_team)
        self.rows = 0
        self.finished = False
        self._format = _FORMATS[format](source.fields)
        self._pager = Pager(source, page_rows)
        self._begun = False
        self._deflate = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW) if gzip else None

    @property
    def progress(self) -> float:
        return self._pager.progress

    def step(self, connection: Connection) -> bytes:
        """Read one page and return the bytes that are ready to be sent, which may be b""."""
        columns = self._pager.next(connection)
        out = b"" if self._begun else self._format.begin()
        self._begun = True
        if columns:
            out += self._format.rows(columns)
            self.rows += len(columns[0])
        self.finished = self._pager.finished
        if self.finished:
            out += self._format.end()
        if self._deflate is not None:
            out = self._deflate.compress(out) + (self._deflate.flush() if self.finished else b"")
        return out


def export_chunks(database: Database, export: Export) -> Iterator[bytes]:
    """Do all of an export, each page in a transaction of its own; yields no empty chunk.

    Raises StoreUnavailable.
    """
    while not export.finished:
        if chunk := database.read_now(export.step):
            yield chunk


def _source(
    kind: ExportKind, wanted: Filter | AuditFilter, period: int, *, by_team: bool
) -> RowSource:
    if isinstance(wanted, AuditFilter):
        assert kind is ExportKind.AUDIT
        return AuditSource(wanted)
    if kind is ExportKind.REQUESTS:
        return RequestSource(wanted)
    assert kind is ExportKind.USAGE
    assert period in PERIODS
    return UsageSource(wanted, period, by_team=by_team)
