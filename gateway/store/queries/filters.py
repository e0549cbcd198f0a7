"""Filters: which rows are asked for, read from the parameters of a query string."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from ...core.records.audit import AuditAction, AuditResult
from ...core.records.record import EndReason
from ...errors import InvalidRequest

# Microseconds; a key of `store/engine/ids.py` can hold no more.
LATEST: Final = (1 << 53) - 1

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhdw])", re.ASCII)
_UNIX: Final = re.compile(r"\d{1,11}(?:\.\d{1,6})?", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STATUS: Final = re.compile(r"[1-5](?:\d\d|xx)|error", re.ASCII)
TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}
# No person gives more values, and databases limit the length of a statement.
_MAX_VALUES: Final = 100
_MAX_LENGTH: Final = 500


class Window(msgspec.Struct, kw_only=True, frozen=True):
    """`since` and `until` are microseconds, `until` itself excluded.

    `written` is how the two were given: that stays the same from page to page, while the times
    that "24h" stands for do not.
    """

    since: int | None = None
    until: int | None = None
    written: tuple[str, str] = ("", "")


class Filter(Window, kw_only=True, frozen=True):
    """Which requests. A row must match one value of each field that is given.

    A `label` is NAME=VALUE, as the key of a request has it. `dropped` is a member that the provider
    was not sent, or `any`. An `agent` is the id of a subagent, or `main` for requests of none.

    A `status` is three digits, a class such as `4xx`, or `error`, which means `failed`, even with
    status 200. `text` is looked for within the columns of `SEARCHED`; the case of ASCII letters is
    ignored, that of others is not.
    """

    model: tuple[str, ...] = ()
    provider: tuple[str, ...] = ()
    token: tuple[str, ...] = ()
    operation: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    end_reason: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    session: tuple[str, ...] = ()
    client_ip: tuple[str, ...] = ()
    request_id: tuple[str, ...] = ()
    team: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    agent: tuple[str, ...] = ()
    failed: bool | None = None
    stream: bool | None = None
    cached: bool | None = None
    text: str = ""


class AuditFilter(Window, kw_only=True, frozen=True):
    """Which entries of the audit log. `text` is looked for within the columns `AUDIT_SEARCHED`."""

    action: tuple[str, ...] = ()
    actor: tuple[str, ...] = ()
    result: tuple[str, ...] = ()
    text: str = ""


SEARCHED: Final = (
    "request_id",
    "error",
    "error_code",
    "user",
    "session",
    "user_agent",
    "trace_id",
    "metadata",
)
AUDIT_SEARCHED: Final = ("actor", "client_ip", "action", "target", "details")
# Fields whose values may be separated by commas. Values of the others can contain commas.
_LISTS: Final = {"model", "provider", "token", "operation", "status", "end_reason", "client_ip",
                 "action", "result", "dropped"}  # fmt: skip
CHOICES_OF: Final[dict[str, Collection[str]]] = {
    "end_reason": [*EndReason],
    "action": [*AuditAction],
    "result": [*AuditResult],
}

Params = Mapping[str, Sequence[str]]
_Window = TypeVar("_Window", bound=Window)


def parse(params: Params, now: float, also: Collection[str] = ()) -> Filter:
    """Read a filter of requests from a query string's parameters; `now` is Unix seconds.

    `also` are parameters that the caller reads itself. An empty value counts as not given, since
    forms send those too. Raises InvalidRequest, also for a parameter that does not exist.
    """
    return _parse(Filter, params, now, also)


def parse_audit(params: Params, now: float, also: Collection[str] = ()) -> AuditFilter:
    """Read a filter of the audit log; as `parse` does."""
    return _parse(AuditFilter, params, now, also)


def moment(name: str, value: str, now: float) -> int:
    """Return a time in microseconds; raises InvalidRequest, which says what it may look like."""
    found = _moment(value, now)
    if found is None or not 0 <= found <= LATEST:
        raise InvalidRequest(
            f"{name} must be a time such as 2026-05-01T12:00:00Z (a + before the zone is written"
            f" %2B), Unix seconds, or how long ago, such as 30m, 24h or 7d; it is {value!r}.",
            param=name,
        )
    return found


# The parts of the two...


def _parse(kind: type[_Window], params: Params, now: float, also: Collection[str]) -> _Window:
    fields = {each.name: each for each in msgspec.structs.fields(kind) if each.name != "written"}
    values: dict[str, Any] = {}
    written = {"since": "", "until": ""}
    for name, given in params.items():
        if name in also:
            continue
        if name not in fields:
            raise InvalidRequest(
                f"There is no parameter {name!r}; there are {', '.join([*fields, *also])}.",
                param=name,
            )
        texts = [_checked(name, each) for each in given if each]
        if not texts:
            continue
        if fields[name].default == ():
            values[name] = _several(name, texts)
            continue
        if len(texts) > 1:
            raise InvalidRequest(f"{name} can be given once only.", param=name)
        if name in written:
            written[name] = texts[0]
            values[name] = moment(name, texts[0], now)
        elif name == "text":
            values[name] = texts[0]
        else:
            values[name] = _truth(name, texts[0])
    found = kind(**values, written=(written["since"], written["until"]))
    if found.since is not None and found.until is not None and found.since >= found.until:
        raise InvalidRequest("since must be earlier than until.", param="since")
    return found


def _moment(value: str, now: float) -> int | None:
    if match := _AGO.fullmatch(value):
        return round((now - float(match[1]) * _UNITS[match[2]]) * 1_000_000)
    if _UNIX.fullmatch(value):
        return round(float(value) * 1_000_000)
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    # Without a zone the time could be the server's or the caller's.
    return None if at.tzinfo is None else (at - _EPOCH) // timedelta(microseconds=1)


def _checked(name: str, value: str) -> str:
    # PostgreSQL takes no NUL in a text, and no database half a surrogate pair.
    if len(value) > _MAX_LENGTH or "\0" in value or (not value.isascii() and _broken(value)):
        raise InvalidRequest(
            f"{name} must be text of at most {_MAX_LENGTH} characters.", param=name
        )
    return value


def _broken(value: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in value)


def _several(name: str, texts: list[str]) -> tuple[str, ...]:
    if name in _LISTS:
        texts = [part for each in texts for part in each.split(",") if part]
    if len(texts) > _MAX_VALUES:
        raise InvalidRequest(f"{name} can have {_MAX_VALUES} values at most.", param=name)
    known = CHOICES_OF.get(name)
    for each in texts:
        if name == "label" and not each.partition("=")[1]:
            raise InvalidRequest(f"label must be NAME=VALUE; it is {each!r}.", param=name)
        if name == "status" and not _STATUS.fullmatch(each):
            raise InvalidRequest(
                f"status must be three digits such as 429, a class such as 4xx, or error; it is"
                f" {each!r}.",
                param=name,
            )
        if known is not None and each not in known:
            raise InvalidRequest(
                f"{name} must be one of {', '.join(known)}; it is {each!r}.", param=name
            )
    return tuple(dict.fromkeys(texts))


def _truth(name: str, value: str) -> bool:
    if value not in TRUTHS:
        raise InvalidRequest(f"{name} must be true or false; it is {value!r}.", param=name)
    return TRUTHS[value]
