"""The audit log as a chain: every row has the hash of the row before (see `core/records/audit.py`).

A chain shows any change to its rows, with two exceptions that every chain has: its last rows may
have been cut off, and someone with write access may have computed all hashes anew. To notice both,
the head (the last id and hash) must be noted where that person cannot change it.

Retention deletes rows at the beginning. A later row of action `retention` says up to which row,
and with which hash (`store/retention/sweep.py` writes it). Only such a row makes the first
remaining row a valid beginning.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select, text

from ...core.records.audit import GENESIS, AuditAction, AuditEvent, AuditRow, hash_of, row_of
from ..engine.schema import audit

# "audit" in ASCII: the advisory lock of transactions that append, on PostgreSQL.
_LOCK: Final = 0x6175646974
# Rows held at a time while a chain is verified: about a megabyte.
_PAGE: Final = 1000

_COLUMNS: Final = tuple(audit.c[name] for name in (*AuditRow.__struct_fields__, "hash"))


class ChainHead(msgspec.Struct, frozen=True):
    """The last row of a chain at the time when it was noted."""

    id: int
    hash: str

    def __str__(self) -> str:
        return f"{self.id}:{self.hash}"


class ChainFaultKind(enum.StrEnum):
    ALTERED = "altered"  # its content is not what its hash was made of
    GAP = "gap"  # rows before it are missing
    UNLINKED = "unlinked"  # it does not follow the row before
    PRUNED = "pruned"  # the rows before the first are missing, and no retention says why
    TRUNCATED = "truncated"  # the noted head is not there any more
    REPLACED = "replaced"  # the noted head is another row now


class ChainFault(msgspec.Struct, frozen=True):
    """What is wrong with row `id`, the first that has a fault."""

    id: int
    what: ChainFaultKind
    message: str


class ChainVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain was found to be.

    `rows` were read, from `first` to `head`, which are None for an empty log. `pruned` rows before
    `first` are missing; if there is no fault, retention has accounted for them.
    """

    rows: int
    first: int | None
    head: ChainHead | None
    pruned: int
    fault: ChainFault | None

    @property
    def ok(self) -> bool:
        return self.fault is None


def append(connection: Connection, events: Sequence[AuditEvent]) -> int:
    """Write `events` at the end of the chain, in their order, and return how many they are.

    For a transaction that writes, as the last thing in it: other processes that append wait until
    it ends. On SQLite it must have begun IMMEDIATE, as those of `Database` do.
    """
    if not events:
        return 0
    if connection.dialect.name == "postgresql":
        # READ COMMITTED: the statement after it sees what was committed while we waited.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    last = head(connection)
    number, previous = (last.id, last.hash) if last else (0, GENESIS)
    rows: list[dict[str, Any]] = []
    for event in events:
        number += 1
        row = row_of(event, number, previous)
        previous = hash_of(row)
        rows.append({**msgspec.structs.asdict(row), "hash": previous})
    connection.execute(insert(audit), rows)
    return len(rows)


def head(connection: Connection) -> ChainHead | None:
    """Return the last row's id and hash; None if there is no row."""
    query = select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else ChainHead(row.id, row.hash)


def verify(connection: Connection, *, expect_head: ChainHead | None = None) -> ChainVerdict:
    """Read the whole chain, a page at a time, and check whether it was changed.

    `expect_head` is a head that was noted earlier: it must still be in the chain. The transaction
    must see one moment, as those of `Database.read` do. 10^6 rows take some ten seconds.
    """
    verification = _Verification(expect_head)
    driver: Any = connection.connection.driver_connection
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:
        # SQLite keeps any bytes in a text column; they must be read as an altered row.
        driver.text_factory = _decoded
    try:
        for row, digest in _rows(connection):
            verification.step(row, digest)
    finally:
        if sqlite:
            driver.text_factory = str
    return verification.verdict()


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")


def _rows(connection: Connection) -> Iterator[tuple[AuditRow, str]]:
    after: int | None = None
    while True:
        query = select(*_COLUMNS).order_by(audit.c.id).limit(_PAGE)
        page = connection.execute(query if after is None else query.where(audit.c.id > after)).all()
        for *fields, digest in page:
            yield AuditRow(*fields), digest
        if len(page) < _PAGE:
            return
        after = page[-1].id


class _Verification:
    """Checks a chain row by row; keeps the first fault, and what is needed to judge its ends."""

    def __init__(self, expected: ChainHead | None) -> None:
        self._expected = expected
        self._rows = 0
        self._first: AuditRow | None = None
        self._last: ChainHead | None = None
        self._fault: ChainFault | None = None
        self._found: str | None = None
        self._accounted = False

    def step(self, row: AuditRow, digest: str) -> None:
        self._rows += 1
        if self._fault is None:
            self._fault = _fault_of(row, digest, self._last)
        if self._first is None:
            self._first = row
        if row.action == AuditAction.RETENTION and self._first.id > 1:
            self._accounted |= _accounts(row, self._first)
        if self._expected is not None and row.id == self._expected.id:
            self._found = digest
        self._last = ChainHead(row.id, digest)

    def verdict(self) -> ChainVerdict:
        first = self._first
        return ChainVerdict(
            rows=self._rows,
            first=first.id if first else None,
            head=self._last,
            pruned=first.id - 1 if first else 0,
            # In the order of the rows.
            fault=self._begun_wrongly() or self._fault or self._ended_wrongly(),
        )

    def _begun_wrongly(self) -> ChainFault | None:
        first = self._first
        if first is None or first.id == 1 or self._accounted:
            return None
        message = f"rows 1 to {first.id - 1} are missing, and no row says that retention took them"
        return ChainFault(first.id, ChainFaultKind.PRUNED, message)

    def _ended_wrongly(self) -> ChainFault | None:
        noted, first, last = self._expected, self._first, self._last
        if noted is None or self._found == noted.hash:
            return None
        if self._found is not None:
            message = f"its hash is {self._found}, but {noted.hash} was noted"
            return ChainFault(noted.id, ChainFaultKind.REPLACED, message)
        if last is None or last.id < noted.id or first is None:
            end = "it is empty" if last is None else f"it ends with row {last.id}"
            message = f"row {noted.id} was noted as the head of the log, but now {end}"
            return ChainFault(noted.id, ChainFaultKind.TRUNCATED, message)
        if noted == ChainHead(first.id - 1, first.previous):
            return None
        message = f"row {noted.id} is older than the log, which begins with row {first.id}"
        return ChainFault(noted.id, ChainFaultKind.PRUNED, message)


def _fault_of(row: AuditRow, digest: str, before: ChainHead | None) -> ChainFault | None:
    if hash_of(row) != digest:
        return ChainFault(
            row.id, ChainFaultKind.ALTERED, "its content is not what its hash was made of"
        )
    if before is None:
        if row.id == 1 and row.previous != GENESIS:
            return ChainFault(
                row.id, ChainFaultKind.UNLINKED, "it is the first, but follows another row"
            )
        return None
    if row.id != before.id + 1:
        return ChainFault(
            row.id, ChainFaultKind.GAP, f"rows {before.id + 1} to {row.id - 1} are missing"
        )
    if row.previous != before.hash:
        return ChainFault(
            row.id, ChainFaultKind.UNLINKED, f"it does not follow row {before.id} as that is now"
        )
    return None


def _accounts(row: AuditRow, first: AuditRow) -> bool:
    """Say whether this row of a retention accounts for all rows before `first`.

    Each deletion is one transaction with its row, so that there is one for any beginning.
    """
    try:
        details = msgspec.json.decode(row.details)
        return bool(
            details["first_remaining_id"] == first.id
            and details["last_deleted_hash"] == first.previous
        )
    except (msgspec.DecodeError, KeyError, TypeError):
        return False  # the entry is about something else, or altered
