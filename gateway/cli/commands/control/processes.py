"""`gateway status`, `gateway processes` and `gateway cancel`: all processes on all hosts."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Parameter

from ....config.paths import config_path
from ....core.processes import MOST_DRAIN, ProcessDrain, ProcessRow, drain_of
from ....errors import ConfigError, GatewayError
from ... import known_processes
from ...key_work import usage_error
from ...options import ConfigFile
from ...output.columns import print_columns, print_json
from ...output.plain_text import printable_line
from ..check import failed

if TYPE_CHECKING:
    from ....group.known.hosts import ProcessView

_NAMES: Final = (
    *("HOST", "PROCESS", "STATE", "IN FLIGHT", "LOAD", "LATE", "LIMITS", "LEADS", "CONFIG"),
    *("KEYS", "VERSION", "UP", "ID"),
)
_REQUEST_NAMES: Final = (
    *("HOST", "PROCESS", "FOR", "KEY", "MODEL", "ASKED NOW", "ATTEMPTS", "REQUEST"),
)
_LONGEST_ID: Final = 200

app = App(name="processes", help="Take processes and hosts out of service, while gateways run.")


def status(
    *,
    json: Annotated[bool, Parameter(negative="")] = False,
    in_flight: Annotated[bool, Parameter(negative="")] = False,
    config: ConfigFile = None,
) -> int:
    """Show all processes of the gateway, on all hosts, as each last said it is.

    Parameters
    ----------
    in_flight
        Show the requests under way instead, the oldest of each process.
    json
        As JSON, by hosts, as GET /admin/api/status has it.
    """
    from ....group.known.hosts import hosts_of

    try:
        found = known_processes.told_processes(config or config_path())
    except (ConfigError, GatewayError) as exc:
        return failed(exc)
    now = time.time()
    if in_flight:
        return _show_requests(found.rows, now, json=json)
    hosts = hosts_of(found.rows, now, found.drains)
    if json:
        print_json({"hosts": hosts, "hosts_from": found.source})
        return 0
    rows = [_cells(each, found.drains, now) for host in hosts for each in host.processes]
    if rows:
        print_columns([_NAMES, *rows])
    else:
        sys.stderr.write("no process is heard of\n")
    return 0


@app.command
def drain(
    name: str,
    /,
    *,
    seconds: Annotated[float, Parameter(name="--for")] = 3600,
    reason: str = "",
    config: ConfigFile = None,
) -> int:
    """Have a host or a process not ready for a while. What is under way there is finished.

    Parameters
    ----------
    name
        HOST, or HOST/PROCESS, or an id, as `gateway status` has them.
    seconds
        For how many seconds. Default: an hour.
    reason
        Why, for those who see it in the list.
    """
    if not 1 <= seconds <= MOST_DRAIN:
        return usage_error(f"--for must be from 1 to {MOST_DRAIN} seconds")
    file = config or config_path()
    try:
        target = known_processes.target_of(known_processes.told_processes(file), name)
        known_processes.drain(file, target, seconds, reason[:200])
    except (ConfigError, GatewayError) as exc:
        return failed(exc)
    sys.stderr.write(f"{printable_line(repr(name))} is drained\n")
    return 0


@app.command
def enable(name: str, /, *, config: ConfigFile = None) -> int:
    """Have a drained host or process ready for requests again.

    Parameters
    ----------
    name
        HOST, or HOST/PROCESS, or an id.
    """
    file = config or config_path()
    try:
        target = known_processes.target_of(known_processes.told_processes(file), name)
        change = known_processes.enable(file, target)
    except (ConfigError, GatewayError) as exc:
        return failed(exc)
    done = "is in service again" if change.note else "is so already"
    sys.stderr.write(f"{printable_line(repr(name))} {done}\n")
    return 0


def cancel(request_id: str, /, *, config: ConfigFile = None) -> int:
    """Cancel a request that is under way, in whichever process it is.

    Parameters
    ----------
    request_id
        Its x-request-id.
    """
    if not request_id or len(request_id) > _LONGEST_ID:
        return usage_error(f"the id of a request has 1 to {_LONGEST_ID} characters")
    try:
        known_processes.cancel(config or config_path(), request_id)
    except (ConfigError, GatewayError) as exc:
        return failed(exc)
    sys.stderr.write("all processes are asked to cancel it\n")
    return 0


def _show_requests(rows: list[ProcessRow], now: float, *, json: bool) -> int:
    from ....group.known.under_way import told_requests

    requests, total = told_requests(rows, now)
    if json:
        print_json({"rows": requests, "total": total})
        return 0
    if requests:
        cells = [
            (
                each.host or "-",
                str(each.pid),
                f"{each.age_s:.1f} s",
                each.token or "-",
                each.model or "-",
                f"{each.provider}/{each.provider_model}" if each.provider else "waits",
                str(each.attempts),
                each.request_id,
            )
            for each in requests
        ]
        print_columns([_REQUEST_NAMES, *cells])
    if (more := total - len(requests)) > 0:
        sys.stderr.write(f"and {more} more\n")
    elif not requests:
        sys.stderr.write("no request is under way\n")
    return 0


def _cells(view: ProcessView, drains: list[ProcessDrain], now: float) -> tuple[str, ...]:
    said: dict[str, Any] = view.state
    settings = said.get("config") or {}
    drained = drain_of(drains, view.host, view.id, now)
    if not view.alive:
        standing = f"silent for {view.silent_s or 0:.0f} s"
    elif drained is not None:
        standing = f"drained for {drained.until - now:.0f} s"
    else:
        standing = str(said.get("phase", "-"))
    failed = " (last reload failed)" if settings.get("last_error") else ""
    return (
        view.host,
        str(view.pid),
        standing,
        str(said.get("in_flight", "-")),
        f"{100 * said['load']:.0f} %" if "load" in said else "-",
        f"{said['loop_lag_ms']:.0f} ms" if "loop_lag_ms" in said else "-",
        str(said.get("limits", "-")),
        ",".join(said.get("leads", ())) or "-",
        f"{settings.get('generation', '-')}{failed}",
        str(said.get("keys_generation", "-")),
        view.version,
        f"{max(0.0, now - view.started / 1_000_000):.0f} s",
        view.id,
    )
