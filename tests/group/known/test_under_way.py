from __future__ import annotations

from typing import Any

from gateway.core.processes import MOST_UNDER_WAY, SILENT, ProcessRow
from gateway.group.known.under_way import told_requests

NOW = 1_800_000_000.0
TOLD = {
    "request_id": "req_1",
    "token": "app",
    "model": "m",
    "stream": True,
    "provider": "p",
    "provider_model": "x",
    "attempts": 1,
    "events": 3,
    "shared": False,
    "started": 1_799_999_990_000_000,
}


def process(host: str, pid: int, *under_way: Any, seen: float = NOW, **state: Any) -> ProcessRow:
    state.setdefault("in_flight", len(under_way))
    return ProcessRow(
        id=f"{host}{pid}",
        host=host,
        pid=pid,
        version="1",
        started=0.0,
        seen=seen,
        state={**state, "under_way": [*under_way]},
    )


def test_requests_are_told_by_age_with_where_they_are() -> None:
    younger = {**TOLD, "request_id": "req_2", "started": 1_799_999_995_000_000}
    rows = [process("a", 1, younger), process("b", 1, TOLD)]
    found, total = told_requests(rows, NOW)
    assert [(each.request_id, each.host, each.pid, each.age_s) for each in found] == [
        ("req_1", "b", 1, 10.0),
        ("req_2", "a", 1, 5.0),
    ]
    assert (total, found[0].client_ip) == (2, None)


def test_those_that_were_asked_and_those_that_are_silent_are_left_out() -> None:
    rows = [
        process("a", 1, TOLD),
        process("a", 2, TOLD),
        process("b", 1, TOLD, seen=NOW - SILENT),
    ]
    found, total = told_requests(rows, NOW, {("a", 1)})
    assert [(each.host, each.pid) for each in found] == [("a", 2)]
    assert total == 1


def test_those_that_are_not_told_are_counted() -> None:
    rows = [process("a", 1, *[TOLD] * MOST_UNDER_WAY, in_flight=120)]
    found, total = told_requests(rows, NOW)
    assert (len(found), total) == (MOST_UNDER_WAY, 120)


def test_what_another_version_says_is_no_reason_to_fail() -> None:
    strange = [{**TOLD, "attempts": "one"}, {"id": 3}, 7, None, {**TOLD, "more": 1}]
    found, total = told_requests([process("a", 1, *strange)], NOW)
    assert ([each.request_id for each in found], total) == (["req_1"], 5)
    older = process("a", 1)
    del older.state["under_way"]
    assert told_requests([older], NOW) == ([], 0)
    odd = process("a", 1)
    odd.state.update(under_way="x", in_flight="y")
    assert told_requests([odd], NOW) == ([], 0)
