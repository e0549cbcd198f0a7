"""Filters as SQL conditions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, and_, func, or_
from sqlalchemy.sql.expression import UnaryExpression, literal_column
from sqlalchemy.sql.operators import custom_op

from ...core.records.client_metadata import AGENT_HEADERS
from ...errors import InvalidRequest
from ..engine.ids import first_id
from ..engine.schema import requests
from .filters import LATEST, SEARCHED, Filter, Window

# A Boolean column would become `= 1` on SQLite, which then uses no partial index.
_failed: Final[ColumnElement[bool]] = literal_column("requests.failed")
# What stands for the requests of a session that no subagent made.
MAIN_AGENT: Final = "main"


def failure_condition() -> ColumnElement[bool]:
    """Return the condition of the index of failures, literally, or no planner uses the index."""
    return or_(_failed, requests.c.status >= literal_column("400"))


def status_is(
    status: ColumnElement[Any],
    wanted: Sequence[str],
    failed: ColumnElement[bool] | None = None,
) -> ColumnElement[bool]:
    """Return the condition that the status is one of `wanted`; `error` stands for `failed`.

    Raises InvalidRequest for an `error` without `failed`: the sums of status 200 contain broken
    streams, and cannot be divided afterwards.
    """
    found: list[ColumnElement[bool]] = []
    if exact := [int(each) for each in wanted if each.isdigit()]:
        found.append(status.in_(exact))
    for each in wanted:
        if each.endswith("xx"):
            found.append(status.between(int(each[0]) * 100, int(each[0]) * 100 + 99))
        elif each == "error":
            if failed is None:
                raise InvalidRequest(
                    "Sums are kept by status, not by what failed: choose classes such as 4xx and"
                    " 5xx, or see errors, which is how many of each row failed.",
                    param="status",
                )
            found.append(failed)
    return or_(*found)


def contains(columns: Sequence[ColumnElement[Any]], text: str, dialect: str) -> ColumnElement[bool]:
    """Return the condition that one of the columns contains `text`, in any case."""
    pattern = "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"
    # SQLite's LIKE does not tell the case of ASCII apart; `ilike` would call lower() on each
    # side there, which takes twice as long. PostgreSQL's takes a third of the time with the
    # rules of "C", and is then about ASCII as well.
    if dialect == "sqlite":
        return or_(*(each.like(pattern, escape="\\") for each in columns))
    return or_(*(each.collate("C").ilike(pattern, escape="\\") for each in columns))


def unindexed(column: ColumnElement[Any], dialect: str) -> ColumnElement[Any]:
    """Return the column so that SQLite uses no index of it, and takes the intended one."""
    # sqlite.org/optoverview.html: a unary plus keeps a term from choosing an index.
    if dialect != "sqlite":
        return column
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def parts(wanted: Filter, dialect: str, *, indexed: bool = True) -> dict[str, ColumnElement[bool]]:
    """Return the condition of each field that the filter has, but for the times."""

    def column(name: str) -> ColumnElement[Any]:
        return requests.c[name] if indexed else unindexed(requests.c[name], dialect)

    found: dict[str, ColumnElement[bool]] = {}
    for name in ("model", "provider", "token", "operation", "end_reason", "user", "session",
                 "client_ip", "request_id", "team"):  # fmt: skip
        if values := getattr(wanted, name):
            found[name] = column(name).in_(values)
    if wanted.label:
        found["label"] = or_(*(_has_label(each, dialect) for each in wanted.label))
    if wanted.dropped:
        found["dropped"] = or_(*(_has_dropped(each, dialect) for each in wanted.dropped))
    if wanted.agent:
        found["agent"] = or_(*(_is_of_agent(each, dialect) for each in wanted.agent))
    failed = _failed if indexed else unindexed(_failed, dialect)
    if wanted.status:
        found["status"] = status_is(column("status"), wanted.status, failed)
    if wanted.failed is not None:
        found["failed"] = failed if wanted.failed else requests.c.failed.is_(False)
    for name in ("stream", "cached"):
        if (value := getattr(wanted, name)) is not None:
            found[name] = requests.c[name].is_(value)
    if wanted.text:
        found["text"] = contains([column(name) for name in SEARCHED], wanted.text, dialect)
    return found


def _has_label(label: str, dialect: str) -> ColumnElement[bool]:
    """Return the condition that a request has the label NAME=VALUE.

    Labels are a JSON object of texts, without blanks. No text can hold its marks of quotation
    unescaped, so that a pair is found where there is one, and only there.
    """
    name, _, value = label.partition("=")
    return _holds(requests.c.labels, _json_pair(name, value), dialect)


def _is_of_agent(agent: str, dialect: str) -> ColumnElement[bool]:
    """Return the condition that a request is of the subagent, or of none if that is "main"."""
    head = requests.c.metadata
    own, _, thread, parent = AGENT_HEADERS
    subagent = _holds(head, f'"{parent}":', dialect)
    if agent == MAIN_AGENT:
        return or_(head.is_(None), and_(~_holds(head, f'"{own}":', dialect), ~subagent))
    return or_(
        _holds(head, _json_pair(own, agent), dialect),
        and_(_holds(head, _json_pair(thread, agent), dialect), subagent),
    )


def _json_pair(name: str, value: str) -> str:
    return ":".join(msgspec.json.encode(each).decode() for each in (name, value))


def _holds(column: ColumnElement[Any], text: str, dialect: str) -> ColumnElement[bool]:
    position = func.instr if dialect == "sqlite" else func.strpos
    return position(column, text) > 0


def _has_dropped(member: str, dialect: str) -> ColumnElement[bool]:
    """Return the condition that `member`, or any, was not sent.

    The column is a JSON list of texts, without blanks and without commas within a text, so that a
    text is found where one begins, and only there.
    """
    if member == "any":
        return requests.c.dropped.is_not(None)
    position = func.instr if dialect == "sqlite" else func.strpos
    written = msgspec.json.encode(member).decode()
    return or_(*(position(requests.c.dropped, f"{before}{written}") > 0 for before in "[,"))


def conditions(wanted: Filter, dialect: str) -> ColumnElement[bool]:
    """Return all of the filter as one condition on `requests`."""
    low, high = id_range(wanted)
    times = (requests.c.id >= low, requests.c.id < high)
    return and_(*times, *parts(wanted, dialect).values())


def id_range(window: Window) -> tuple[int, int]:
    """Return the first key of the window, and the first after it."""
    since, until = window.since, window.until
    return first_id(since or 0), first_id(LATEST if until is None else until)
