"""`gateway deployments`: drain, enable and reset them by hand, while gateways run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from ....config import load
from ....config.paths import config_path
from ....errors import ConfigError, GatewayError
from ...audit_entry import append_note, operator
from ...key_work import usage_error
from ...moments import utc
from ...options import ConfigFile
from ...output.plain_text import printable_line
from ...store import opened
from ..check import failed

if TYPE_CHECKING:
    from ....control.changes import Actor
    from ....control.deployments import DeploymentChange
    from ....store.control.generations import Transaction

    Work = Callable[[Transaction, frozenset[str], Actor], DeploymentChange]


app = App(name="deployments", help="Drain, enable and reset deployments, while gateways run.")


@app.command
def drain(
    name: str,
    /,
    *,
    seconds: Annotated[float, Parameter(name="--for")] = 3600,
    reason: str = "",
    config: ConfigFile = None,
) -> int:
    """Send nothing new to a deployment for a while.

    Parameters
    ----------
    name
        PROVIDER/MODEL, as the routes of the configuration have them.
    seconds
        For how many seconds. Default: an hour.
    reason
        Why, for those who see it in the list.
    """
    from ....control import deployments

    if not 1 <= seconds <= deployments.MOST_DRAIN:
        return usage_error(f"--for must be from 1 to {deployments.MOST_DRAIN} seconds")
    return _change(
        config,
        lambda connection, known, actor: deployments.drain(
            connection, name, seconds, reason[:200], known, actor
        ),
        "is drained",
    )


@app.command
def enable(name: str, /, *, config: ConfigFile = None) -> int:
    """Send requests to a drained deployment again.

    Parameters
    ----------
    name
        PROVIDER/MODEL.
    """
    from ....control import deployments

    return _change(
        config,
        lambda connection, known, actor: deployments.enable(connection, name, known, actor),
        "is in use again",
    )


@app.command
def reset(name: str, /, *, config: ConfigFile = None) -> int:
    """Close the breaker of a deployment in every process.

    Parameters
    ----------
    name
        PROVIDER/MODEL.
    """
    from ....control import deployments

    return _change(
        config,
        lambda connection, known, actor: deployments.reset(connection, name, known, actor),
        "has its breaker reset",
    )


@app.command(name="list")
def list_(*, config: ConfigFile = None) -> int:
    """List the deployments of the configuration, and which of them are drained."""
    from ....control.deployments import names_of
    from ....store.control.deployments import all_orders

    file = config or config_path()
    try:
        known = names_of(load.outline(file))
        with opened(file) as database:
            orders = {each.name: each for each in database.read_now(all_orders)}
    except (ConfigError, GatewayError) as exc:
        return failed(exc)
    now = time.time()
    for name in sorted(known):
        order, line = orders.get(name), name
        if order is not None and order.drained_until is not None and order.drained_until > now:
            until = utc(round(order.drained_until * 1_000_000))
            line += f"  drained until {until} by {order.drained_by}"
            line += f": {order.reason}" if order.reason else ""
        sys.stdout.write(printable_line(line) + "\n")
    return 0


def _change(config: Path | None, work: Work, done: str) -> int:
    from ....control.changes import Actor
    from ....control.deployments import names_of

    file = config or config_path()

    def both(connection: Transaction) -> DeploymentChange:
        made = work(connection, known, Actor(operator(), time.time()))
        append_note(connection, made.note)
        return made

    try:
        known = names_of(load.outline(file))
        with opened(file) as database:
            change = database.write_now(both)
    except (ConfigError, GatewayError) as exc:
        return failed(exc)
    name = printable_line(repr(change.order.name))
    sys.stderr.write(f"{name} {done if change.note else 'is so already'}\n")
    return 0
