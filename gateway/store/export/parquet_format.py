"""Rows as Parquet, by pyarrow, which is an extra: it weighs more than all else together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ...errors import ConfigError
from ...installation import how_to_add
from .columns import Column, ColumnKind, Columns, ColumnSpec

# Rows of one group are held in memory until it is written. More of them compress better, less
# than a few thousand make the footer, which stays in memory to the end, worth mentioning.
_GROUP_ROWS: Final = 16_384
# All 64-bit integers in billionths fit.
_DIGITS, _SCALE = 19, 9


class ParquetFormat:
    """See `columns.TableFormat`. Times are timestamps in UTC, dollars decimals, JSON is text."""

    def __init__(self, fields: Sequence[ColumnSpec]) -> None:
        try:
            import pyarrow as pa  # type: ignore[import-untyped]
            from pyarrow import parquet
        except ImportError as exc:
            raise ConfigError(
                [f"Parquet needs pyarrow: {how_to_add('parquet')}; or export csv or jsonl"]
            ) from exc
        self._pa: Any = pa
        types = {
            ColumnKind.INTEGER: pa.int64(),
            ColumnKind.ID: pa.int64(),
            ColumnKind.TEXT: pa.string(),
            ColumnKind.FLAG: pa.bool_(),
            ColumnKind.TIME: pa.timestamp("us", tz="UTC"),
            ColumnKind.USD: pa.decimal128(_DIGITS, _SCALE),
            ColumnKind.JSON: pa.string(),
            ColumnKind.COUNTS: pa.list_(pa.int64()),
        }
        self._kinds = [field.kind for field in fields]
        self._schema: Any = pa.schema([(field.name, types[field.kind]) for field in fields])
        self._sink = _Sink()
        self._writer: Any = parquet.ParquetWriter(
            self._sink, self._schema, compression="zstd", version="2.6"
        )
        self._waiting: list[Any] = []
        self._rows = 0

    def begin(self) -> bytes:
        return self._sink.take()

    def rows(self, columns: Columns) -> bytes:
        # Converted to Arrow arrays at once, which take a fraction of the memory of Python objects.
        arrays = [
            self._array(column, kind, field.type)
            for column, kind, field in zip(columns, self._kinds, self._schema, strict=True)
        ]
        batch = self._pa.record_batch(arrays, schema=self._schema)
        self._waiting.append(batch)
        self._rows += batch.num_rows
        if self._rows >= _GROUP_ROWS:
            self._write_group()
        return self._sink.take()

    def end(self) -> bytes:
        if self._waiting:
            self._write_group()
        self._writer.close()
        return self._sink.take()

    def _write_group(self) -> None:
        table = self._pa.Table.from_batches(self._waiting, schema=self._schema)
        self._waiting, self._rows = [], 0
        self._writer.write_table(table, row_group_size=table.num_rows)

    def _array(self, column: Column, kind: ColumnKind, wanted: Any) -> Any:
        pa = self._pa
        if kind is not ColumnKind.USD:
            return pa.array(column, type=wanted)
        # The same integers, interpreted with nine decimals. A Python Decimal for each cell would
        # take ten times as long.
        whole = pa.array(column, type=pa.int64()).cast(pa.decimal128(_DIGITS, 0))
        return pa.Array.from_buffers(wanted, len(whole), whole.buffers())


class _Sink:
    """A file for pyarrow to write to, which keeps only the bytes that were not taken yet."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0
        self.closed = False

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)

    # What pyarrow calls...

    def write(self, data: Any) -> int:
        # pyarrow reuses its buffer, so the bytes are copied.
        part = bytes(data)
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def tell(self) -> int:
        return self._written

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def flush(self) -> None:
        """Do nothing: all that was written can be taken at once."""

    def close(self) -> None:
        self.closed = True
