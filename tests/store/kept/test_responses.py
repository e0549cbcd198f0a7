"""Kept responses in both kinds of database: found, replaced, bounded, and swept away."""

from __future__ import annotations

import pytest

from gateway.core.dialects.keeping import KeptResponse
from gateway.store.engine.database import Database
from gateway.store.kept import responses
from gateway.store.retention.sweep import SECOND, ResponseSweep

MINE, OTHER = b"\x01" * 32, b""
NOW = 1_800_000_000.0


def kept(number: int, size: int = 10) -> KeptResponse:
    return KeptResponse(f"resp_gw{number}", b'{"a":"\x00\xc3\xa9"}', b"[" + b" " * size + b"]")


def keep(database: Database, owner: bytes, number: int, *, size: int = 10, most: int = 10**6) -> None:  # noqa: E501  # fmt: skip
    database.write_now(
        lambda connection: responses.keep(connection, owner, kept(number, size), NOW + number, most)
    )


def found(database: Database, owner: bytes) -> list[int]:
    return [
        number
        for number in range(20)
        if database.read_now(lambda c, n=number: responses.find(c, owner, f"resp_gw{n}"))  # type: ignore[misc]
    ]


def test_it_is_found_as_it_was_by_its_owner(database: Database) -> None:
    keep(database, MINE, 1)
    keep(database, OTHER, 2)
    assert database.read_now(lambda c: responses.find(c, MINE, "resp_gw1")) == kept(1)
    assert found(database, MINE) == [1]
    assert found(database, OTHER) == [2]
    assert not database.write_now(lambda c: responses.forget(c, OTHER, "resp_gw1"))
    assert database.write_now(lambda c: responses.forget(c, MINE, "resp_gw1"))
    assert found(database, MINE) == []


def test_the_same_again_takes_its_place(database: Database) -> None:
    keep(database, MINE, 1, size=10)
    keep(database, MINE, 1, size=99)
    assert database.read_now(lambda c: responses.find(c, MINE, "resp_gw1")) == kept(1, 99)


@pytest.mark.parametrize(("most", "left"), [(10**6, [*range(9)]), (500, [6, 7, 8]), (1, [8])])
def test_the_oldest_of_the_same_owner_go(database: Database, most: int, left: list[int]) -> None:
    keep(database, OTHER, 1)
    for number in range(9):
        keep(database, MINE, number, size=150, most=most)
    assert found(database, MINE) == left
    assert found(database, OTHER) == [1]


def test_old_ones_are_swept_away_in_batches(database: Database) -> None:
    for number in range(6):
        keep(database, MINE, number)
    sweep = ResponseSweep(round((NOW + 4) * SECOND))
    steps = []
    while not sweep.finished:
        steps.append(database.write_now(lambda c: sweep.step(c, 3)).responses)
    assert steps == [3, 1]
    assert found(database, MINE) == [4, 5]
