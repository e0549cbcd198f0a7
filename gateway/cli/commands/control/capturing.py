"""What `gateway debug capture`, `stop` and `windows` do."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ....config import load
from ....config.paths import config_path
from ....errors import ConfigError, GatewayError
from ...audit_entry import append_note, operator
from ...key_work import usage_error
from ...moments import utc
from ...output.plain_text import printable_line
from ...store import opened
from ..check import failed

if TYPE_CHECKING:
    from ....control.capturing import WindowChange
    from ....control.changes import Actor
    from ....store.control.generations import Transaction

    Work = Callable[[Transaction, Callable[[str], bool], Actor], WindowChange]


def start(config: Path | None, token: str, seconds: float, reason: str) -> int:
    from ....control import capturing

    if not 1 <= seconds <= capturing.MOST_WINDOW:
        return usage_error(f"--for must be from 1 to {capturing.MOST_WINDOW} seconds")
    return _change(
        config,
        lambda connection, in_files, actor: capturing.start(
            connection, token, seconds, reason[:200], in_files, actor
        ),
        "is captured",
    )


def stop(config: Path | None, token: str) -> int:
    from ....control import capturing

    return _change(
        config,
        lambda connection, _, actor: capturing.stop(connection, token, actor),
        "is captured no longer",
    )


def show_open(config: Path | None) -> int:
    from ....store.control.capture_windows import open_windows

    now = time.time()
    try:
        with opened(config or config_path()) as database:
            found = database.read_now(lambda connection: open_windows(connection, now))
    except (ConfigError, GatewayError) as exc:
        return failed(exc)
    for each in found:
        line = f"{each.token}  until {utc(round(each.until * 1_000_000))} by {each.opened_by}"
        line += f": {each.reason}" if each.reason else ""
        sys.stdout.write(printable_line(line) + "\n")
    if not found:
        sys.stderr.write("no key is captured for a while\n")
    return 0


def _change(config: Path | None, work: Work, done: str) -> int:
    from ....control.changes import Actor

    file = config or config_path()

    def both(connection: Transaction) -> WindowChange:
        made = work(connection, names.__contains__, Actor(operator(), time.time()))
        append_note(connection, made.note)
        return made

    try:
        names = {token.name for token in load.outline(file).tokens}
        with opened(file) as database:
            change = database.write_now(both)
    except (ConfigError, GatewayError) as exc:
        return failed(exc)
    name = printable_line(repr(change.token))
    sys.stderr.write(f"{name} {done if change.note else 'is not captured'}\n")
    return 0
