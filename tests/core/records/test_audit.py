"""Rows of the audit log: what is hashed, and that any event can become one."""

from __future__ import annotations

import enum
import hashlib
import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.records.audit import (
    GENESIS,
    MOST_DETAILS,
    MOST_TEXT,
    ActorKind,
    AuditAction,
    AuditEvent,
    AuditResult,
    AuditRow,
    hash_of,
    row_of,
)

EVENT = AuditEvent(
    time=1_790_000_000.25,
    action=AuditAction.EXPORTED,
    result=AuditResult.OK,
    actor_kind=ActorKind.ADMIN,
    actor="root",
    client_ip="127.0.0.1",
    target="requests",
    details={"rows": 3, "format": "csv"},
)


def details_of(value: object) -> dict[str, object]:
    event = msgspec.structs.replace(EVENT, details={"a": value})
    found: dict[str, object] = json.loads(row_of(event, 1, GENESIS).details)
    return found


def test_a_row_is_its_event_in_its_place() -> None:
    assert row_of(EVENT, 7, "ab") == AuditRow(
        id=7,
        time=1_790_000_000_250_000,
        actor_kind="admin",
        actor="root",
        client_ip="127.0.0.1",
        action="exported",
        target="requests",
        result="ok",
        details='{"format":"csv","rows":3}',
        previous="ab",
    )


def test_the_hash_is_one_that_other_tools_can_compute() -> None:
    row = row_of(EVENT, 1, GENESIS)
    values = [getattr(row, name) for name in AuditRow.__struct_fields__]
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    assert hash_of(row) == hashlib.sha256(text.encode()).hexdigest()
    # Never to change: rows of earlier versions are checked by later ones.
    assert hash_of(row) == "9a4182a028e133e979384283273a71912c3ffb2ca96f2216ffb63e18fba9d73d"


def test_every_field_counts() -> None:
    row = row_of(EVENT, 1, GENESIS)
    found = {hash_of(row)}
    for name in AuditRow.__struct_fields__:
        value = getattr(row, name)
        found.add(hash_of(msgspec.structs.replace(row, **{name: value * 2})))
    assert len(found) == 1 + len(AuditRow.__struct_fields__)


def test_a_field_lends_nothing_to_its_neighbour() -> None:
    row = row_of(EVENT, 1, GENESIS)
    replace = msgspec.structs.replace
    assert hash_of(replace(row, actor='a","b', client_ip="c")) != hash_of(
        replace(row, actor="a", client_ip='b","c')
    )
    assert hash_of(replace(row, target=None)) != hash_of(replace(row, target="null"))
    assert hash_of(replace(row, target=None)) != hash_of(replace(row, target=""))


def test_what_no_database_holds_is_replaced() -> None:
    row = row_of(msgspec.structs.replace(EVENT, actor="a\0b\ud800c\ud83d\ude00"), 1, GENESIS)
    assert row.actor == "a\ufffdb\ufffdc\U0001f600"
    assert details_of("\0\udfff") == {"a": "\ufffd\ufffd"}


def test_the_order_of_details_means_nothing_and_their_types_do() -> None:
    one, other = ({"a": 1, "b": [2]}, {"b": [2], "a": 1})
    rows = [
        row_of(msgspec.structs.replace(EVENT, details=details), 1, GENESIS)
        for details in (one, other, {"a": 1.0, "b": [2]}, {"a": "1", "b": [2]})
    ]
    assert hash_of(rows[0]) == hash_of(rows[1])
    assert len({hash_of(row) for row in rows}) == 3


def test_details_of_any_kind_are_written_down() -> None:
    class Number(int):
        pass

    class Colour(enum.Enum):
        RED = 1

    deep: object = "end"
    for _ in range(10_000):
        deep = [deep]
    assert details_of(Number(3)) == {"a": 3}
    assert details_of(2**70) == {"a": str(2**70)}
    assert details_of(float("nan")) == {"a": None}
    assert details_of(Colour.RED) == {"a": "Colour.RED"}
    assert details_of({1: b"x", None: (1, 2)}) == {"a": {"1": "b'x'", "None": [1, 2]}}
    assert isinstance(details_of(deep), dict)


def test_no_row_is_large() -> None:
    long = "x" * 60_000
    row = row_of(
        msgspec.structs.replace(EVENT, actor=long, client_ip=long, target=long), 1, GENESIS
    )
    assert row.target == "x" * (MOST_TEXT - 3) + "..."
    assert row.actor == row.client_ip == row.target
    exact = msgspec.structs.replace(EVENT, target="x" * MOST_TEXT)
    assert row_of(exact, 1, GENESIS).target == exact.target
    assert details_of(long) == {"a": row.target}
    # Also if no two bytes of it are worth a character.
    assert (
        len(row_of(msgspec.structs.replace(EVENT, target="\ud800" * 9999), 1, GENESIS).target or "")
        == MOST_TEXT
    )


def test_of_large_details_the_small_ones_are_kept() -> None:
    filters = {f"name_{number}": "x" * 500 for number in range(100)}
    event = msgspec.structs.replace(EVENT, details={"rows": 3, "bytes": 5, "filters": filters})
    row = row_of(event, 1, GENESIS)
    found = json.loads(row.details)
    assert (found.pop("rows"), found.pop("bytes")) == (3, 5)
    assert found.keys() == {"filters"}
    assert found["filters"]["left_out_bytes"] > 100 * MOST_TEXT
    # Nor can many small ones fill it.
    event = msgspec.structs.replace(EVENT, details={str(number): 1 for number in range(10_000)})
    assert json.loads(row_of(event, 1, GENESIS).details) == {"left_out_bytes": 88_891}
    one = {"a": ["x" * 100] * 70}
    event = msgspec.structs.replace(EVENT, details=one)
    assert json.loads(row_of(event, 1, GENESIS).details) == one


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=10,
)


@given(ANYTHING, st.text(st.characters()))
def test_every_event_has_a_row_that_any_database_takes(value: object, actor: str) -> None:
    event = msgspec.structs.replace(EVENT, actor=actor, details={"a": value})
    row = row_of(event, 1, GENESIS)
    assert row == row_of(event, 1, GENESIS)
    for text in (row.actor, row.details):
        assert text is not None
        assert "\0" not in text
        text.encode()
    assert isinstance(json.loads(row.details), dict)
    assert len(row.details.encode()) <= MOST_DETAILS
    assert len(hash_of(row)) == 64
