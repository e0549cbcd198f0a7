"""`gateway debug`: look at what the debug log kept of requests, and send one again."""

from __future__ import annotations

import os
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ...captures import files as captures
from ...captures import search
from ...config import load
from ...config.listener.server import Server
from ...config.paths import config_path
from ...config.schema import DebugLog
from ...config.sources.state import find_state
from ...core.records.audit import AuditAction, AuditResult
from ...errors import ConfigError
from ..audit_entry import by_operator, record_action
from ..options import ConfigFile, Flag
from ..output.plain_text import printable_line
from ..output.transcript_view import show as show_pretty
from ..output.transcript_view import show_json, show_list, show_raw
from .check import report

app = App(name="debug", help="Show what the debug log kept of requests, and send one again.")


@app.command
def show(
    request_id: str,
    /,
    *,
    json: Flag = False,
    raw: Flag = False,
    config: ConfigFile = None,
) -> int:
    """Show a request and its answer, as far as the debug log has them.

    Parameters
    ----------
    request_id
        The request's id, as in the header x-request-id of its answer.
    json
        Print an array with one object for each request of that id.
    raw
        Print the lines that are in the file.
    """
    file = config or config_path()
    try:
        found = _find(file, request_id, search.MOST)
    except ConfigError as exc:
        report(exc)
        return 1
    result = AuditResult.OK if found.rows else AuditResult.FAILED
    record_action(file, by_operator(AuditAction.CAPTURE_VIEWED, result, request_id))
    if found.rows:
        (show_json if json else show_raw if raw else show_pretty)(found.rows)
    if found.more:
        sys.stderr.write("there is more of this id, older or too large to be shown\n")
    return 0 if found.rows else _missing(request_id)


@app.command(name="list")
def list_(
    *,
    limit: Annotated[int, Parameter(name=["--limit", "-n"])] = 20,
    config: ConfigFile = None,
) -> int:
    """List the requests that the debug log has, the latest first.

    Parameters
    ----------
    limit
        How many.
    """
    if limit < 1:
        sys.stderr.write("error: --limit must be at least 1\n")
        return 2
    file = config or config_path()
    try:
        folder = _folder(file)
        files = captures.list_captures(folder)
        # Read one after the other: those beyond the limit are not opened.
        read = ((captures.read_file(folder, each), each.size) for each in files)
        found = list(islice(((each, size) for each, size in read if each is not None), limit))
    except ConfigError as exc:
        report(exc)
        return 1
    except OSError as exc:
        report(_unreadable(exc))
        return 1
    if found:
        show_list(found)
    else:
        sys.stderr.write(f"the debug log has nothing in {folder}\n")
    return 0


@app.command
def replay(
    request_id: str,
    /,
    *,
    url: str | None = None,
    key: str | None = None,
    anyway: Flag = False,
    config: ConfigFile = None,
) -> int:
    """Send a request to the gateway again, and print what is answered as it comes.

    It is a request like any other: it needs a key, counts in its limits and costs what it costs.

    Parameters
    ----------
    request_id
        The request's id; of several, the latest is sent.
    url
        Where the gateway is, such as http://127.0.0.1:8080. Default: the file's [server] bind.
    key
        The key to call with. Default: $GATEWAY_API_KEY, which does not show in lists of
        processes.
    anyway
        Send it even though parts of it were redacted.
    """
    from .replay import Unsendable, prepare, send

    file = config or config_path()
    try:
        server = load.table(file, Server)
        found = _find(file, request_id, 1).rows
    except ConfigError as exc:
        report(exc)
        return 1
    if not found:
        return _missing(request_id)
    key = key or os.environ.get("GATEWAY_API_KEY")
    try:
        prepared = prepare(found[0].request, url, key, server, anyway=anyway)
    except Unsendable as exc:
        event = by_operator(AuditAction.CAPTURE_REPLAYED, AuditResult.REFUSED, request_id)
        record_action(file, event)
        sys.stderr.write(f"error: {printable_line(request_id)}: {exc}\n")
        return 1
    status = send(prepared)
    result = AuditResult.FAILED if status else AuditResult.OK
    event = by_operator(AuditAction.CAPTURE_REPLAYED, result, request_id, url=prepared.where)
    record_action(file, event)
    return status


@app.command
def capture(
    token: str,
    /,
    *,
    seconds: Annotated[float, Parameter(name="--for")] = 3600,
    reason: str = "",
    config: ConfigFile = None,
) -> int:
    """Keep all requests of one key whole for a while, whatever [debug_log] says.

    Parameters
    ----------
    token
        The key's name.
    seconds
        For how many seconds, a day at most. Default: an hour.
    reason
        Why, for those who see it.
    """
    from .control.capturing import start

    return start(config, token, seconds, reason)


@app.command(name="stop")
def stop_capture(token: str, /, *, config: ConfigFile = None) -> int:
    """Keep the requests of a key no longer than [debug_log] says.

    Parameters
    ----------
    token
        The key's name.
    """
    from .control.capturing import stop

    return stop(config, token)


@app.command(name="windows")
def show_windows(*, config: ConfigFile = None) -> int:
    """List the keys that are captured for a while."""
    from .control.capturing import show_open

    return show_open(config)


def _find(file: Path, request_id: str, most: int) -> search.FoundCaptures:
    """Return what was kept, the latest first. Raises ConfigError if it can't be read."""
    try:
        return search.read_captures(_folder(file), request_id, most=most)
    except OSError as exc:
        raise _unreadable(exc) from exc


def _folder(file: Path) -> Path:
    # Only this table is read: the variables of the file's secrets need not be set here.
    return (find_state(file) or file.absolute().parent) / load.table(file, DebugLog).folder


def _unreadable(error: OSError) -> ConfigError:
    return ConfigError([f"{error.filename}: cannot be read: {error.strerror}"])


def _missing(request_id: str) -> int:
    sys.stderr.write(f"error: the debug log has nothing of {printable_line(request_id)}\n")
    return 1
