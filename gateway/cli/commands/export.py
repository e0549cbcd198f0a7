"""`gateway export`: records as a file, or for the next program in a pipe."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Parameter

from ...config.paths import config_path
from ...core.records.audit import AuditAction, AuditResult
from ...core.records.periods import BY_NAME
from ...errors import ConfigError, InvalidRequest, StoreUnavailable
from ..audit_entry import by_operator, record_action
from ..options import ConfigFile, Flag
from ..output.atomic_file import OutputFile
from ..store import opened
from .check import report

if TYPE_CHECKING:
    from ...store.engine.database import Database
    from ...store.export.export import Export

Kind = Literal["requests", "audit", "usage"]
Format = Literal["csv", "jsonl", "parquet"]
Period = Literal["minute", "hour", "day"]
Dimension = Literal["model", "provider", "token", "team", "user", "status"]
Names = Annotated[tuple[str, ...], Parameter(negative="", show_default=False)]

_STDOUT: Final = "-"
# The signals by which a person, a service manager and a closed terminal end a program.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Progress = Callable[["Export", int], None]


def export(
    kind: Kind,
    /,
    *,
    format: Format | None = None,
    since: str = "",
    until: str = "",
    model: Names = (),
    provider: Names = (),
    token: Names = (),
    team: Names = (),
    status: Names = (),
    user: Names = (),
    session: Names = (),
    operation: Names = (),
    end_reason: Names = (),
    label: Names = (),
    action: Names = (),
    actor: Names = (),
    result: Names = (),
    text: str = "",
    period: Period | None = None,
    by: Dimension | None = None,
    out: Annotated[str, Parameter(name=["--out", "-o"], allow_leading_hyphen=True)] = _STDOUT,
    gzip: Flag = False,
    config: ConfigFile = None,
) -> int:
    """Write requests, the audit log or usage to a file or to stdout, however many rows they are.

    The gateway can go on running; what it writes after the start of the export is not in it.
    A file is there under its name only when it is whole. Each export is in the audit log.

    Parameters
    ----------
    kind
        requests, audit, or usage, which is the sums by hour, model, provider, token and status.
    format
        csv, jsonl or parquet. Default: what the end of the file's name says, else csv.
    since
        A time such as 2027-01-01T00:00:00Z, or how long ago, such as 24h or 7d.
    until
        The same; what is of that very time is left out.
    model
        Only of this model; may be repeated, as all that follow.
    provider
        Only of this provider.
    token
        Only of the token of this name.
    team
        Only of the tokens of this team.
    status
        Three digits, a class such as 5xx, or error, which is what failed; error not for usage.
    user
        Of requests, only those of this user, as the caller said.
    session
        Of requests, only those of this session of an agent.
    operation
        Of requests, only this operation, such as chat or embeddings.
    end_reason
        Of requests, only those that ended in this way.
    label
        Of requests, only those of tokens with this label, written NAME=VALUE.
    action
        Of the audit log, only this action.
    actor
        Of the audit log, only what this one did.
    result
        Of the audit log, only what ended in this way.
    text
        Only rows in which this text is; not for usage.
    period
        Of usage, what one row is about: minute, hour or day. Default: hour.
    by
        Of usage, what rows are told apart by. That is always model, provider, token and status;
        team has a column for the team, and rows of those requests alone that have one.
    out
        The file to write, or - for stdout.
    gzip
        Compress it. Default: if the file's name ends in .gz.
    """
    path = None if out == _STDOUT else Path(out)
    packed = gzip or (path is not None and path.suffix == ".gz")
    chosen = format or _format_of(path)
    if wrong := _unusable(kind, period, by, packed=packed and chosen == "parquet"):
        return _usage_error(wrong)
    if path is None and sys.stdout.isatty() and (packed or chosen == "parquet"):
        return _usage_error("that is not for a terminal: give --out FILE, or a pipe")
    given = {
        "since": (since,), "until": (until,), "model": model, "provider": provider,
        "token": token, "team": team, "status": status, "user": user, "session": session,
        "operation": operation, "end_reason": end_reason, "label": label, "action": action,
        "actor": actor, "result": result, "text": (text,),
    }  # fmt: skip
    params = {name: [*values] for name, values in given.items() if any(values)}
    # Imported late: it takes longer than all the rest of a command.
    from ...store.export.export import Export, ExportFormat, ExportKind
    from ...store.queries.filters import parse, parse_audit

    try:
        wanted = (parse_audit if kind == "audit" else parse)(params, time.time())
        made = Export(
            ExportKind(kind),
            wanted,
            ExportFormat(chosen),
            gzip=packed,
            period=BY_NAME[period or "hour"],
            by_team=by == "team",
        )
    except InvalidRequest as exc:
        return _usage_error(exc.message)
    except ConfigError as exc:
        report(exc)
        return 1
    file = config or config_path()
    details = {"format": chosen, "gzip": packed, "filters": params, "to": out}
    if by is not None:
        details["by"] = by
    return _run(file, made, path, kind, details)


def _unusable(kind: Kind, period: Period | None, by: Dimension | None, *, packed: bool) -> str:
    """Return what is wrong with options that do not go together, else nothing."""
    if packed:
        return "Parquet is compressed by itself: leave out --gzip and .gz"
    if kind != "usage" and (period is not None or by is not None):
        return f"{'--by' if period is None else '--period'} is for usage"
    if by == "user":
        return "usage is not kept by user: gateway export requests has a column for the user"
    return ""


def _run(file: Path, export: Export, path: Path | None, kind: Kind, details: Any) -> int:
    """Do the export and record it in the audit log, also if it broke off after reading rows."""
    ended = AuditResult.FAILED
    begun = False
    try:
        with opened(file) as database, _ended_by_signals():
            begun = True
            size = _write(database, export, path)
        ended = AuditResult.OK
    except ConfigError as exc:
        report(exc)
        return 1
    except StoreUnavailable as exc:
        _say(f"error: {exc.message}")
        return 1
    except BrokenPipeError:
        # The reader of the pipe has closed it. Python must not try to flush the rest at its exit
        # (docs.python.org/3/library/signal.html, "Note on SIGPIPE").
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as exc:
        _say(f"error: {path or 'stdout'} cannot be written: {exc.strerror}")
        return 1
    except _SignalledError as exc:
        _say("error: the export was broken off" + ("" if path is None else "; no file is left"))
        return 128 + exc.number
    finally:
        if begun:
            event = by_operator(AuditAction.EXPORTED, ended, kind, rows=export.rows, **details)
            record_action(file, event)
    _say(f"{export.rows} rows, {size} bytes" + ("" if path is None else f" in {path}"))
    return 0


def _write(database: Database, export: Export, path: Path | None) -> int:
    """Return how many bytes were written."""
    from ...store.export.export import export_chunks

    size = 0
    target = contextlib.nullcontext(sys.stdout.buffer) if path is None else OutputFile(path)
    with target as sink, _progress() as progress:
        for chunk in export_chunks(database, export):
            sink.write(chunk)
            size += len(chunk)
            progress(export, size)
        sink.flush()
    return size


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """Show the progress on stderr, if that is a terminal and the rows go elsewhere."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda _export, _size: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TextColumn("{task.fields[rows]:,} rows"),
        bars.TextColumn("{task.fields[size]}"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=1.0, rows=0, size="")

        def tell(export: Export, size: int) -> None:
            written = f"{size / 1_000_000:,.1f} MB"
            shown.update(task, completed=export.progress, rows=export.rows, size=written)

        yield tell


class _SignalledError(BaseException):
    """A signal that ends programs has come. No Exception, so that no handler catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn signals into an exception, so that half a file is not left behind."""

    def stop(number: int, _frame: object) -> None:
        # Once: a second signal must not interrupt the removal of the half-written file.
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise _SignalledError(number)

    # Signals that are ignored already stay so, as SIGHUP under nohup.
    heard = [each for each in _SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
    before = [(each, signal.signal(each, stop)) for each in heard]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)


def _format_of(path: Path | None) -> Format:
    if path is not None:
        ends = path.suffixes[-2:]
        for name in ("jsonl", "parquet"):
            if f".{name}" in ends:
                return name
    return "csv"


def _usage_error(what: str) -> int:
    _say(f"error: {what}")
    return 2


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
