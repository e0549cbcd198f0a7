"""`gateway audit`: verify the chain of the audit log, and list its entries."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
from cyclopts import App, Parameter

from ...config.paths import config_path
from ...core.records.audit import AuditAction, AuditResult
from ...errors import ConfigError, InvalidRequest, StoreUnavailable
from ..audit_entry import by_operator, record_action
from ..options import ConfigFile, Flag
from ..output.columns import print_json
from ..output.plain_text import printable_line
from ..store import opened
from .check import report

if TYPE_CHECKING:
    from ...store.writing.chain import ChainHead, ChainVerdict

T = TypeVar("T")

# Seconds. A million rows take some ten of them, and only the user of the command waits.
_TIMEOUT: Final = 3600.0
_HEAD: Final = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")
_PAGE: Final = 1000
_NOTE: Final = (
    "Note the head where nobody who can write to the database can change it, and give it as"
    " --expect the next time:\nthat rows were cut off at the end, or all written anew, the log"
    " alone cannot show."
)


app = App(name="audit", help="Check and read the log of what was done to the gateway.")


@app.command
def verify(*, expect: str | None = None, config: ConfigFile = None) -> int:
    """Check that no row of the audit log was changed, taken out or put in.

    Prints the head of the log, its last row's id and hash. That the log was cut off at its end
    shows only if an earlier head is given.

    Parameters
    ----------
    expect
        A head that was printed earlier, as ID:HASH; it must still be in the log.
    """
    from ...store.writing import chain

    noted: ChainHead | None = None
    if expect is not None:
        match = _HEAD.fullmatch(expect)
        if match is None:
            sys.stderr.write("error: --expect must be ID:HASH, as an earlier run printed it\n")
            return 2
        noted = chain.ChainHead(int(match[1]), match[2])
    return _read(
        config, lambda connection: chain.verify(connection, expect_head=noted), _print_verdict
    )


@app.command(name="list")
def list_(
    *,
    since: str | None = None,
    action: Annotated[tuple[AuditAction, ...], Parameter(negative="", show_default=False)] = (),
    limit: Annotated[int, Parameter(name=["--limit", "-n"])] = 100,
    json: Flag = False,
    config: ConfigFile = None,
) -> int:
    """List what was done, the latest first.

    Parameters
    ----------
    since
        A time such as 2027-01-01T00:00:00Z, or a while ago such as 24h or 7d. Default: all.
    action
        Only this; may be repeated.
    limit
        How many at most.
    json
        Print an array of objects, with all that is known of each.
    """
    from ...store.queries.filters import parse_audit

    if limit < 1:
        sys.stderr.write("error: --limit must be at least 1\n")
        return 2
    try:
        given = {"since": [since or ""], "action": [each.value for each in action]}
        wanted = parse_audit(given, time.time())
    except InvalidRequest as exc:
        sys.stderr.write(f"error: --{exc.message}\n")
        return 2

    def show(rows: list[dict[str, Any]]) -> int:
        details = {name: each for name, each in given.items() if any(each)}
        file = config or config_path()
        record_action(
            file, by_operator(AuditAction.LOG_VIEWED, AuditResult.OK, "audit", filters=details)
        )
        (_show_json if json else _show)(rows)
        return 0

    return _read(config, lambda connection: _rows(connection, wanted, limit), show)


def _read(config: Path | None, work: Callable[[Any], T], then: Callable[[T], int]) -> int:
    """Do `work` with a connection to the database, and return what `then` makes of it."""
    try:
        with opened(config or config_path()) as database:
            found = database.read_now(work, _TIMEOUT)
    except ConfigError as exc:
        report(exc)
        return 1
    except StoreUnavailable as exc:
        sys.stderr.write(f"error: {exc.message}\n")
        return 1
    return then(found)


def _rows(connection: Any, wanted: Any, limit: int) -> list[dict[str, Any]]:
    from ...store.queries import audit_log

    rows: list[dict[str, Any]] = []
    after: str | None = None
    while len(rows) < limit:
        wants = min(limit - len(rows), _PAGE)
        page = audit_log.page(connection, wanted, after=after, limit=wants)
        rows += page.rows
        after = page.next
        if after is None:
            break
    return rows


def _print_verdict(verdict: ChainVerdict) -> int:
    if verdict.head is None:
        sys.stdout.write("the audit log is empty\n")
    else:
        sys.stdout.write(f"rows: {verdict.rows}, from {verdict.first} to {verdict.head.id}\n")
        sys.stdout.write(f"head: {printable_line(str(verdict.head))}\n")
    if verdict.fault is not None:
        fault = verdict.fault
        message = printable_line(fault.message)
        sys.stderr.write(f"error: row {fault.id} is {fault.what.value}: {message}\n")
        return 1
    if verdict.pruned:
        sys.stdout.write(f"rows 1 to {verdict.pruned} were deleted by retention, which says so\n")
    sys.stdout.write(f"the log is whole\n{_NOTE}\n")
    return 0


def _show_json(rows: list[dict[str, Any]]) -> None:
    print_json(rows)


def _show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        at = datetime.fromtimestamp(row["time"] / 1_000_000, UTC).isoformat(" ", "seconds")
        who = f"{row['actor_kind']} {row['actor'] or '-'} {row['client_ip'] or '-'}"
        what = f"{row['action']} {row['result']} {row['target'] or '-'}"
        details = msgspec.json.encode(row["details"]).decode() if row["details"] else ""
        line = f"{row['id']}  {at}  {who}  {what}  {details}".rstrip()
        sys.stdout.write(f"{printable_line(line)}\n")
