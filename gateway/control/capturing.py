"""The debug log for one key for a while: kept whole, whatever `[debug_log]` says.

A window ends by itself: what was said must not be kept for weeks since somebody looked into a
fault one evening. What is to be redacted is, as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from ..config.keys.stored import KeyState
from ..core.records.audit import AuditAction
from ..errors import Conflict, InvalidRequest, NotFound
from ..store.control import capture_windows, stored_keys
from ..store.control.capture_windows import CaptureWindow
from ..store.control.generations import CAPTURE_WINDOWS, Transaction, advance
from .changes import Actor, AuditNote

# Seconds.
DEFAULT_WINDOW: Final = 3600.0
MOST_WINDOW: Final = 86_400
WindowSeconds = Annotated[float, Meta(ge=1, le=MOST_WINDOW)]
WindowReason = Annotated[str, Meta(max_length=200)]
# At once. Each is a key that every process looks for.
MOST_WINDOWS: Final = 100


class WindowChange(NamedTuple):
    """The window of a key after a change, None if it has none. Without a `note` it is as before."""

    token: str
    window: CaptureWindow | None
    note: AuditNote | None


def start(
    connection: Transaction,
    token: str,
    seconds: float,
    reason: str,
    in_files: Callable[[str], bool],
    actor: Actor,
) -> WindowChange:
    """Keep the requests of a key for so many seconds. Raises NotFound, InvalidRequest, Conflict.

    `in_files` says whether the configuration's files have a key of a name.
    """
    advance(connection, CAPTURE_WINDOWS)
    if not reason.isprintable():
        raise InvalidRequest("reason must be of printable characters.", param="reason")
    stored = stored_keys.find(connection, token)
    if not in_files(token) and (stored is None or stored.state is KeyState.REVOKED):
        raise NotFound(f"there is no key {token!r}")
    known = {each.token: each for each in capture_windows.open_windows(connection, actor.now)}
    old = known.get(token)
    if old is None and len(known) >= MOST_WINDOWS:
        raise Conflict(f"{MOST_WINDOWS} keys are captured already; stop one of them first.")
    new = CaptureWindow(
        token=token, until=actor.now + seconds, opened_by=actor.name, reason=reason or None
    )
    capture_windows.put(connection, new, actor.now)
    details = {"for_s": seconds, "reason": reason, "old": _was(old, actor.now)}
    return WindowChange(token, new, AuditNote(AuditAction.CAPTURING_STARTED, token, details))


def stop(connection: Transaction, token: str, actor: Actor) -> WindowChange:
    """Keep the requests of a key no longer than the settings say."""
    advance(connection, CAPTURE_WINDOWS)
    known = capture_windows.open_windows(connection, actor.now)
    old = next((each for each in known if each.token == token), None)
    if old is None:
        return WindowChange(token, None, None)
    capture_windows.remove(connection, token, actor.now)
    details = {"old": _was(old, actor.now)}
    return WindowChange(token, None, AuditNote(AuditAction.CAPTURING_STOPPED, token, details))


def _was(old: CaptureWindow | None, now: float) -> dict[str, object]:
    """Return what the audit log says of the window before."""
    if old is None:
        return {"capturing": False}
    left = round(old.until - now)
    return {"capturing": True, "left_s": left, "by": old.opened_by, "reason": old.reason}


class Windows(msgspec.Struct, frozen=True):
    """The windows that are open, the first to end first."""

    rows: list[CaptureWindow]
