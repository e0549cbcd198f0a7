"""What people did to the gateway or with what it has on record: one `AuditEvent` each.

They become rows of a log in which each row has a hash over itself and the hash of the row
before. To change a row, take one out or put one in means to make every hash after it anew, and so
also the last one, which may have been noted elsewhere.
"""

from __future__ import annotations

import enum
import hashlib
from typing import Any, Final

import msgspec

# Equal details give equal text, in whatever order they were put together.
_ENCODE: Final = msgspec.json.Encoder(order="deterministic").encode
# How deep details are kept as they are; what is deeper is left out.
_DEPTH: Final = 16
# What every reader of JSON takes as a number, not msgspec alone.
_LARGEST: Final = 2**63
# Much of a row is what strangers have sent, in heads of 64 KiB: none may fill the database.
MOST_TEXT: Final = 256  # characters
MOST_DETAILS: Final = 8 * 1024  # bytes, encoded


class AuditAction(enum.StrEnum):
    SIGN_IN = "sign_in"
    SIGN_OUT = "sign_out"
    USER_CREATED = "user_created"
    USER_CHANGED = "user_changed"
    USER_REMOVED = "user_removed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    SESSIONS_ENDED = "sessions_ended"
    TOKEN_CREATED = "token_created"  # noqa: S105  # a name of an action
    TOKEN_CHANGED = "token_changed"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    TOKEN_ROTATED = "token_rotated"  # noqa: S105
    TOKEN_DISABLED = "token_disabled"  # noqa: S105
    TOKEN_ENABLED = "token_enabled"  # noqa: S105
    ADMIN_KEY_CREATED = "admin_key_created"
    ADMIN_KEY_REVOKED = "admin_key_revoked"
    TEAM_CREATED = "team_created"
    TEAM_CHANGED = "team_changed"
    TEAM_DELETED = "team_deleted"
    PROCESS_DRAINED = "process_drained"
    PROCESS_ENABLED = "process_enabled"
    DEPLOYMENT_DRAINED = "deployment_drained"
    DEPLOYMENT_ENABLED = "deployment_enabled"
    BREAKER_RESET = "breaker_reset"
    REQUEST_CANCELLED = "request_cancelled"
    CONFIG_RELOADED = "config_reloaded"
    EXPORTED = "exported"
    LOG_VIEWED = "log_viewed"
    CAPTURE_VIEWED = "capture_viewed"
    CAPTURE_REPLAYED = "capture_replayed"
    CAPTURING_STARTED = "capturing_started"
    CAPTURING_STOPPED = "capturing_stopped"
    KEY_GRANTED = "key_granted"
    PRICES_UPDATED = "prices_updated"
    REPRICED = "repriced"
    RETENTION = "retention"
    ERASED = "erased"
    MIGRATED = "migrated"


class ActorKind(enum.StrEnum):
    ADMIN = "admin"  # by a key of [[admins]]; `actor` is its name
    USER = "user"  # by a session of a user; `actor` is the user's name
    OPERATOR = "operator"  # at the machine: the command line or a signal; `actor` is the user
    SYSTEM = "system"  # the gateway by itself


class AuditResult(enum.StrEnum):
    OK = "ok"
    FAILED = "failed"
    REFUSED = "refused"


class AuditEvent(msgspec.Struct, kw_only=True, frozen=True):
    """`time` is Unix seconds. `details` never hold a secret, nor any value of one's setting."""

    time: float
    action: AuditAction
    result: AuditResult
    actor_kind: ActorKind
    actor: str | None = None
    client_ip: str | None = None
    target: str | None = None
    details: dict[str, Any] = {}


# What the first row of a log follows.
GENESIS: Final = "0" * 64


class AuditRow(msgspec.Struct, frozen=True, array_like=True):
    """An event in its place in the log, as the database keeps it; `time` is in microseconds.

    `details` is a JSON object and `previous` the hash of the row before, or `GENESIS`.
    """

    id: int
    time: int
    actor_kind: str
    actor: str | None
    client_ip: str | None
    action: str
    target: str | None
    result: str
    details: str
    previous: str


def row_of(event: AuditEvent, number: int, previous: str) -> AuditRow:
    """Return the row of `event`; every text is one that both databases give back as it was.

    Texts are shortened, and of details that are too large the large members are replaced by
    their size, before anything is hashed.
    """
    return AuditRow(
        number,
        round(event.time * 1_000_000),
        event.actor_kind.value,
        _clean(event.actor),
        _clean(event.client_ip),
        event.action.value,
        _clean(event.target),
        event.result.value,
        _details(event.details).decode(),
        previous,
    )


def hash_of(row: AuditRow) -> str:
    """Return the hash that the next row is chained to: SHA-256 in hexadecimal.

    What is hashed is a JSON array of the fields in their order, without blanks: a field cannot
    lend bytes to its neighbour, and the hash can be computed again with other tools.
    """
    return hashlib.sha256(_ENCODE(row)).hexdigest()


def shortened(text: str) -> str:
    """Return `text` if it has at most `MOST_TEXT` characters, else its beginning and "..."."""
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 3]}..."


def _details(details: dict[str, Any]) -> bytes:
    plain = _plain(details, _DEPTH)
    encoded = _ENCODE(plain)
    if len(encoded) <= MOST_DETAILS:
        return encoded
    # What is small says what was done, how much and how it ended: a long list beside it, which
    # the person who did it may have chosen, must not push that out.
    sizes = {name: len(_ENCODE(value)) for name, value in plain.items()}
    kept = {
        name: value if sizes[name] <= MOST_TEXT else {"left_out_bytes": sizes[name]}
        for name, value in plain.items()
    }
    short = _ENCODE(kept)
    return short if len(short) <= MOST_DETAILS else _ENCODE({"left_out_bytes": len(encoded)})


def _clean(text: str | None) -> str | None:
    """Return `text` without what PostgreSQL (NUL) or UTF-8 (half a surrogate pair) cannot hold.

    And shortened.
    """
    if text is None:
        return None
    # Before: what is thrown away needs no cleaning. It makes no text longer.
    text = shortened(text)
    if not text.isascii():
        # UTF-16 has surrogates: whole pairs become their character, halves are replaced.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "\ufffd")


def _plain(value: Any, depth: int) -> Any:
    """Return `value` as what JSON has: details never keep their event from being written."""
    if isinstance(value, dict | list | tuple):
        if depth == 0:
            return "..."
        if isinstance(value, dict):
            return {_clean(str(key)): _plain(each, depth - 1) for key, each in value.items()}
        return [_plain(each, depth - 1) for each in value]
    if value is None or isinstance(value, bool):
        return value
    # Made anew, since msgspec takes no subclasses.
    if isinstance(value, float):
        return float(value)
    return int(value) if isinstance(value, int) and abs(value) < _LARGEST else _clean(str(value))
