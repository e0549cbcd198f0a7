from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete

from gateway.core.records.audit import AuditAction, AuditResult, AuditRow, hash_of
from gateway.core.records.periods import DAY
from gateway.errors import InvalidRequest
from gateway.store.engine.database import Database
from gateway.store.engine.schema import LATENCY, requests, rollups
from gateway.store.export.export import Export, ExportFormat, ExportKind, export_chunks
from gateway.store.export.sources import AuditSource, RequestSource, UsageSource
from gateway.store.queries.filters import AuditFilter, Filter

from ...once import made_once
from ...rounds import rounds
from ..exported import TIME, attempt, effort, event, exported, request, rollup, store
from ..filled import fill_database
from ..filling import fill

ROOT: Final = Path(__file__).parents[3]
HOUR_US: Final = 3600 * 1_000_000
JSONL: Final = ExportFormat.JSONL


def lines(database: Database, kind: ExportKind, wanted: Any, **options: Any) -> list[Any]:
    out = exported(database, Export(kind, wanted, JSONL, **options))
    return [json.loads(line) for line in out.decode().split("\n")[:-1]]


def numbers(database: Database, wanted: Filter, **options: Any) -> list[int]:
    """Return which of the requests made by `request(number)` are exported."""
    found = lines(database, ExportKind.REQUESTS, wanted, **options)
    return [int(row["request_id"].removeprefix("req_")) for row in found]


# Requests...


def test_a_request_with_its_attempts(database: Database) -> None:
    row = request(
        7, attempts=2, cost_nano_usd=1_234_567_890, input_tokens=5, metadata='{"a":"b"}',
        user="=1", error='a "b"\r\nc', first_event_us=9,
    )  # fmt: skip
    tries = [
        attempt(row["id"], 2, cost_nano_usd=3),
        attempt(row["id"], 1, cause="rate_limited", status=429, error="too much"),
    ]
    store(database, requests_=[row], attempts_=tries)
    details = [
        {name: cell for name, cell in each.items() if name != "request"} for each in tries[::-1]
    ]
    expected = {
        **row,
        "time": "2026-05-28T20:26:40.000007Z",
        "cost_usd": "1.234567890",
        "attempts_detail": details,
    }
    (found,) = lines(database, ExportKind.REQUESTS, Filter())
    assert found == {**expected, "id": str(row["id"]), "metadata": {"a": "b"}}

    text = exported(database, Export(ExportKind.REQUESTS, Filter())).decode()
    (cells,) = csv.DictReader(io.StringIO(text, newline=""))
    assert json.loads(cells.pop("attempts_detail")) == details
    changed = {"user": "'=1", "stream": "true", "cached": "false", "failed": "false"}
    assert cells == {
        name: changed.get(name, "" if cell is None else str(cell))
        for name, cell in expected.items()
        if name != "attempts_detail"
    }


@pytest.mark.slow
def test_parquet_has_the_same_rows(database: Database) -> None:
    pq: Any = pytest.importorskip("pyarrow.parquet")
    fill_database(database, 500, end=TIME // HOUR_US * HOUR_US)
    out = exported(database, Export(ExportKind.REQUESTS, Filter(), ExportFormat.PARQUET))
    table = pq.read_table(io.BytesIO(out)).to_pylist()
    expected = lines(database, ExportKind.REQUESTS, Filter())
    assert len(table) == len(expected) == 500
    for row, same in zip(table, expected, strict=True):
        row["time"] = row["time"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        row["id"] = str(row["id"])
        row["attempts_detail"] = json.loads(row["attempts_detail"])
        assert row["cost_usd"] == (same["cost_usd"] and Decimal(same.pop("cost_usd")))
        row.pop("cost_usd")
        same.pop("cost_usd", None)
        assert row == same


def test_csv_has_the_same_rows(database: Database) -> None:
    fill_database(database, 500, end=TIME // HOUR_US * HOUR_US)
    text = exported(database, Export(ExportKind.REQUESTS, Filter())).decode()
    rows = [*csv.DictReader(io.StringIO(text, newline=""))]
    expected = lines(database, ExportKind.REQUESTS, Filter())
    for row, same in zip(rows, expected, strict=True):
        row["attempts_detail"] = json.loads(row["attempts_detail"])
        written = {True: "true", False: "false", None: ""}
        assert row == {
            name: cell if isinstance(cell, list) else
            written[cell] if cell is None or isinstance(cell, bool) else str(cell)
            for name, cell in same.items()
        }  # fmt: skip


@pytest.mark.parametrize("kind", ExportKind)
def test_every_column_of_the_table_is_exported(kind: ExportKind) -> None:
    sources: dict[ExportKind, tuple[Any, set[str]]] = {
        ExportKind.REQUESTS: (RequestSource, set()),
        ExportKind.AUDIT: (AuditSource, set()),
        ExportKind.USAGE: (
            UsageSource,
            {"period", *(column.name for column in rollups.columns if column.name[-1].isdigit())},
        ),
    }
    source, others = sources[kind]
    names = [field.name for field in source.fields]
    assert len(set(names)) == len(names)
    assert {column.name for column in source.key[0].table.columns} - others <= {*names}


HOSTILE: Final = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        st.sampled_from("=+-@\t\r\n\"', ;{}\\\u2028"),
    ),
    max_size=20,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(HOSTILE, HOSTILE), min_size=1, max_size=4))
def test_whatever_was_said_comes_back(database: Database, texts: list[tuple[str, str]]) -> None:
    database.write_now(lambda connection: connection.execute(delete(requests)))
    rows = [request(place, user=one, error=two) for place, (one, two) in enumerate(texts)]
    store(database, requests_=rows)
    found = lines(database, ExportKind.REQUESTS, Filter())
    assert [(row["user"], row["error"]) for row in found] == texts
    text = exported(database, Export(ExportKind.REQUESTS, Filter())).decode()
    cells = [*csv.DictReader(io.StringIO(text, newline=""))]
    for row, pair in zip(cells, texts, strict=True):
        for cell, original in zip((row["user"], row["error"]), pair, strict=True):
            assert cell in {original, "'" + original}
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_nul_survives_where_the_database_takes_it(sqlite_database: Database) -> None:
    store(sqlite_database, requests_=[request(user="\0=1\0")])
    text = exported(sqlite_database, Export(ExportKind.REQUESTS, Filter())).decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["user"] == "'\0=1\0"
    assert lines(sqlite_database, ExportKind.REQUESTS, Filter())[0]["user"] == "\0=1\0"


@pytest.mark.parametrize("page_rows", [1, 2, 1000])
def test_filters_are_obeyed_whatever_the_page(database: Database, page_rows: int) -> None:
    changes: list[dict[str, Any]] = [
        {"model": "a"},
        {"token": "other"},
        {"provider": "b", "status": 503, "end_reason": "providers_failed"},
        {"status": 429, "end_reason": "rejected"},
        {"model": "a", "error": "needle"},
        {"status": 200, "end_reason": "upstream_broke"},
        {"status": 499, "end_reason": "client_gone"},
    ]
    store(database, requests_=[request(place, **each) for place, each in enumerate(changes)])

    def found(**wanted: Any) -> list[int]:
        return numbers(database, Filter(**wanted), page_rows=page_rows)

    assert found() == [0, 1, 2, 3, 4, 5, 6]
    assert found(model=("a",)) == [0, 4]
    assert found(model=("a", "m"), token=("other",)) == [1]
    assert found(provider=("b",)) == [2]
    assert found(status=("error",)) == found(failed=True) == [2, 3, 5]
    assert found(failed=False) == [0, 1, 4, 6]
    assert found(status=("4xx", "503")) == [2, 3, 6]
    assert found(status=("error", "499")) == [2, 3, 5, 6]
    assert found(text="NEEDLE") == [4]
    assert found(since=TIME + 1, until=TIME + 4) == [1, 2, 3]
    assert found(since=TIME + 7) == []
    assert found(model=("nobody",)) == []


def test_rows_that_come_meanwhile_neither_break_nor_prolong_it(database: Database) -> None:
    store(database, requests_=[request(number) for number in range(0, 50, 2)])
    export = Export(ExportKind.REQUESTS, Filter(), JSONL, page_rows=5)
    parts = []
    later = 1000
    for chunk in export_chunks(database, export):
        parts.append(chunk)
        # Some that began long ago and end only now, and more new ones than a page takes.
        late = [request(1 + 2 * len(parts), request_id=f"late-{len(parts)}")]
        store(database, requests_=[*late, *(request(later + n) for n in range(10))])
        later += 10
        assert len(parts) < 20
    found = [json.loads(line)["request_id"] for line in b"".join(parts).splitlines()]
    old = [each for each in found if each.startswith("req_")]
    assert old == [f"req_{number}" for number in range(0, 50, 2)]
    assert export.rows == len(found)
    assert export.progress == 1.0


def test_no_transaction_is_open_between_two_chunks(sqlite_database: Database) -> None:
    store(sqlite_database, requests_=[request(number) for number in range(20)])
    chunks = export_chunks(
        sqlite_database, Export(ExportKind.REQUESTS, Filter(), JSONL, page_rows=5)
    )
    next(chunks)
    store(sqlite_database, requests_=[request(100)])

    def checkpoint(connection: Connection) -> Any:
        return connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()

    # A reader that had not ended would keep it from copying all, and say so by a 1.
    busy, _, _ = sqlite_database.autocommit_now(checkpoint)
    assert busy == 0
    assert sum(chunk.count(b"\n") for chunk in chunks) == 15


# The audit log...


def test_the_audit_log_can_be_verified_from_its_export(database: Database) -> None:
    events = [
        event(0, details={"a": [1, "ü"]}, client_ip="::1"),
        event(1, action=AuditAction.SIGN_OUT, target="=x"),
        event(2, result=AuditResult.FAILED, actor="eve"),
    ]
    store(database, events=events)
    found = lines(database, ExportKind.AUDIT, AuditFilter())
    assert [row["id"] for row in found] == [1, 2, 3]
    assert found[0]["time"] == "2026-05-28T20:26:40.000000Z"
    assert found[0]["details"] == {"a": [1, "ü"]}
    text = exported(database, Export(ExportKind.AUDIT, AuditFilter())).decode()
    for row, each in zip(csv.DictReader(io.StringIO(text, newline="")), found, strict=True):
        fields: dict[str, Any] = {name: cell or None for name, cell in row.items()}
        digest = fields.pop("hash")
        fields |= {"id": each["id"], "time": TIME + (each["id"] - 1) * 1_000_000}
        fields["target"] = each["target"]
        assert hash_of(AuditRow(**fields)) == digest == each["hash"]


def test_audit_filters(database: Database) -> None:
    events = [
        event(0),
        event(1, action=AuditAction.SIGN_OUT),
        event(2, result=AuditResult.FAILED, actor="eve", target="needle"),
    ]
    store(database, events=events)

    def found(**wanted: Any) -> list[int]:
        return [row["id"] for row in lines(database, ExportKind.AUDIT, AuditFilter(**wanted))]

    assert found(action=("sign_out",)) == [2]
    assert found(actor=("eve",), result=("failed",)) == [3]
    assert found(text="Needle") == [3]
    # The same columns as in the log's pages.
    assert found(text="gn_OUT") == [2]
    assert found(since=TIME + 1_000_000, until=TIME + 2_000_000) == [2]


# Usage...


def test_usage_with_costs_quantiles_and_counts(database: Database) -> None:
    start = TIME // HOUR_US * HOUR_US
    row = rollup(start, requests=10, cost_nano_usd=5, token="", **{LATENCY[2]: 10})
    store(database, rollups_=[row, rollup(start, period=DAY, model="by day")])
    (found,) = lines(database, ExportKind.USAGE, Filter())
    assert found["start"] == "2026-05-28T20:00:00.000000Z"
    assert (found["token"], found["model"]) == (None, "m")
    assert (found["requests"], found["cost_nano_usd"], found["cost_usd"]) == (10, 5, "0.000000005")
    assert found["latency_counts"] == [0, 0, 10] + [0] * 17
    # The third bucket is from 10 to 25 milliseconds.
    assert [found[f"latency_p{q}_us"] for q in (50, 95, 99)] == [17_500, 24_250, 24_850]
    assert found["first_event_p50_us"] is None
    (by_day,) = lines(database, ExportKind.USAGE, Filter(), period=DAY)
    assert by_day["model"] == "by day"


@pytest.mark.parametrize(
    ("cost", "unknown", "shown"),
    [
        (0, 2, (None, None)),
        (5, 2, (5, "0.000000005")),
        (0, 0, (0, "0.000000000")),
    ],
)
def test_a_cost_that_is_not_known_is_not_nothing(
    database: Database, cost: int, unknown: int, shown: tuple[int | None, str | None]
) -> None:
    start = TIME // HOUR_US * HOUR_US
    store(database, rollups_=[rollup(start, cost_nano_usd=cost, cost_unknown=unknown)])
    (found,) = lines(database, ExportKind.USAGE, Filter())
    assert (found["cost_nano_usd"], found["cost_usd"]) == shown
    assert found["cost_unknown"] == unknown


@pytest.mark.parametrize("page_rows", [1, 3, 1000])
def test_usage_filters_and_order(database: Database, page_rows: int) -> None:
    start = TIME // HOUR_US * HOUR_US
    rows = [
        rollup(start + hour * HOUR_US, model=model, status=status)
        for hour in (0, 1, 50)
        for model in ("a", "b")
        for status in (200, 500)
    ]
    store(database, rollups_=rows[::-1])

    def found(**wanted: Any) -> list[int]:
        got = lines(database, ExportKind.USAGE, Filter(**wanted), page_rows=page_rows)
        keys = [(row["start"], row["model"], row["status"]) for row in rows]
        at = "2026-05-28T20:00:00.000000Z", "2026-05-28T21:00:00.000000Z"
        starts = {at[0]: start, at[1]: start + HOUR_US}
        return [
            keys.index(
                (starts.get(row["start"], start + 50 * HOUR_US), row["model"], row["status"])
            )
            for row in got
        ]

    assert found() == [*range(12)]
    assert found(model=("b",), status=("5xx",)) == [3, 7, 11]
    # Of the hour that `since` is in, only all can be told.
    assert found(since=start + HOUR_US + 5, until=start + 2 * HOUR_US) == [4, 5, 6, 7]
    assert found(token=("nobody",)) == []


def test_usage_says_what_it_cannot_be_filtered_by() -> None:
    with pytest.raises(InvalidRequest, match="by user"):
        Export(ExportKind.USAGE, Filter(user=("someone",)))
    with pytest.raises(InvalidRequest, match="by failed"):
        Export(ExportKind.USAGE, Filter(failed=True))
    with pytest.raises(InvalidRequest, match="by status, not by what failed") as caught:
        Export(ExportKind.USAGE, Filter(status=("error",)))
    assert caught.value.param == "status"


# The whole...


@pytest.mark.parametrize("format_", ExportFormat)
@pytest.mark.parametrize("kind", ExportKind)
def test_gzip_is_the_same_packed_and_the_same_each_time(
    database: Database, kind: ExportKind, format_: ExportFormat
) -> None:
    store(database, requests_=[request(n) for n in range(5)], events=[event()],
          rollups_=[rollup(TIME)])  # fmt: skip
    wanted = AuditFilter() if kind is ExportKind.AUDIT else Filter()

    def out(packed: bool) -> bytes:
        return exported(database, Export(kind, wanted, format_, gzip=packed, page_rows=2))

    assert gzip.decompress(out(True)) == out(False) != b""
    assert out(True) == out(True)
    assert out(True)[4:8] == bytes(4)


def test_of_no_rows_the_header_is_left(database: Database) -> None:
    for kind, wanted in ((ExportKind.AUDIT, AuditFilter()), (ExportKind.USAGE, Filter())):
        text = exported(database, Export(kind, wanted)).decode()
        assert text.count("\r\n") == 1
        assert text.startswith(('"id","time","actor_kind"', '"start","model","provider"'))
        assert lines(database, kind, wanted) == []


def test_no_page_is_sent_empty(database: Database) -> None:
    store(database, requests_=[request(n, model="a" if n % 10 else "b") for n in range(50)])
    export = Export(ExportKind.REQUESTS, Filter(model=("b",)), JSONL, page_rows=1)
    assert [chunk.count(b"\n") for chunk in export_chunks(database, export)] == [1] * 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ExportKind.REQUESTS, ExportKind.USAGE])
def test_a_page_looks_at_its_own_rows_only(sqlite_database: Database, kind: ExportKind) -> None:
    end = TIME // HOUR_US * HOUR_US
    fill_database(sqlite_database, 4000, end=end, days=4)
    export = Export(kind, Filter(since=end - 20 * DAY * 1_000_000), page_rows=100)
    efforts = []
    while not export.finished:
        efforts.append(
            sqlite_database.read_now(
                lambda connection: effort(connection, lambda: export.step(connection))
            )
        )
    assert len(efforts) > 20
    # Of a hundred rows and their attempts; all rows would be several times as much.
    assert max(efforts) <= 15


SCRIPT: Final = """
import sys
from pathlib import Path
import psutil
from gateway.store.engine.database import Database
from gateway.store.export.export import Export, ExportFormat, ExportKind, export_chunks
from gateway.store.queries.filters import Filter

if sys.argv[2] == "parquet":
    # What the library takes for itself, however much is written.
    import pyarrow as pa
    from pyarrow import parquet
    from gateway.store.export import parquet_format
    batch = pa.record_batch([pa.array(["x" * 1000] * 5000)], names=["a"])
    with parquet.ParquetWriter(pa.BufferOutputStream(), batch.schema, compression="zstd") as to:
        to.write_batch(batch)
    parquet_format._GROUP_ROWS = 4096
database = Database("sqlite:///gateway.db", Path(sys.argv[1]))
memory = psutil.Process().memory_info
packed = sys.argv[3] == "gzip"
export = Export(ExportKind.REQUESTS, Filter(), ExportFormat(sys.argv[2]), gzip=packed)
base, peak, size = memory().rss, 0, 0
for chunk in export_chunks(database, export):
    size += len(chunk)
    peak = max(peak, memory().rss)
print(export.rows, size, peak - base)
"""


# Of Parquet, five groups of rows or more. All rows at once are 12 MB more as Parquet, 10 as CSV, 24
# as lines of JSON, for each 20,000.
MANY: Final = rounds(20_000, 100_000)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Path:
    """A folder with a database of `MANY` requests."""

    def make(folder: Path) -> None:
        (folder / "gateway.db").write_bytes(migrated_file.read_bytes())
        database = Database("sqlite:///gateway.db", folder)
        end = TIME // HOUR_US * HOUR_US
        database.write_now(lambda connection: fill(connection, MANY, end=end, days=50), 600)
        database.close()

    return made_once(tmp_path_factory, "many", make)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format_", "packed", "at_least", "megabytes"),
    [("csv", "gzip", 80, rounds(16, 25)), ("jsonl", "", 600, 25), ("parquet", "", 20, 30)],
)
@pytest.mark.measured
def test_memory_does_not_grow_with_the_rows(
    many: Path, format_: str, packed: str, at_least: int, megabytes: int
) -> None:
    found = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", SCRIPT, str(many), format_, packed],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    rows, size, growth = map(int, found.stdout.split())
    assert rows == MANY
    assert size > at_least * MANY
    assert growth < megabytes * 1_000_000
