"""Keys in each order, page by page, on both engines."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import msgspec
import pytest
from sqlalchemy import insert

from gateway.control import key_order, keys
from gateway.control.key_order import SORTS, KeyQuery
from gateway.control.key_view import KeyFilter, KeyView
from gateway.control.keys import NewKey
from gateway.errors import InvalidRequest
from gateway.store.engine.database import Database
from gateway.store.engine.ids import id_of
from gateway.store.engine.schema import requests
from gateway.store.queries.last_used import last_used
from tests.store.filling import plain

from .test_keys import KNOWN, NOW, WHO

# By last use from the last to the first, behind them those that were never used by name.
USED: Final = ("d", "from-file", "a", "e")
NEVER: Final = ("b", "c")


@pytest.fixture
def filled(database: Database) -> Database:
    def work(connection: Any) -> None:
        for number, name in enumerate("abcde"):
            expires = datetime.fromtimestamp(NOW + 60 * (number + 1), UTC).isoformat()
            fields = {"name": name, "budget": {"usd": 1, "window": "day"}, "expires_at": expires}
            keys.create(connection, msgspec.convert(fields, NewKey), KNOWN, WHO)
        for ago, name in enumerate(USED):
            for each in (0, 1000):
                at = id_of(round((NOW - ago - each) * 1e6), ago)
                connection.execute(insert(requests), [plain(at, token=name)])

    database.write_now(work)
    return database


def _walked(database: Database, sort: str, *, descending: bool, limit: int = 2) -> list[KeyView]:
    query = KeyQuery(wanted=KeyFilter(), sort=sort, descending=descending)
    found: list[KeyView] = []
    cursor = ""
    while True:
        page = database.read_now(
            lambda connection, after=cursor: key_order.page(  # type: ignore[misc]
                connection, KNOWN, query, cursor=after, limit=limit, now=NOW
            )
        )
        found += page.rows
        if page.next is None:
            return found
        cursor = page.next


def test_by_last_use_those_never_used_come_last(filled: Database) -> None:
    names = [each.name for each in _walked(filled, "used", descending=True)]
    assert names == [*USED, *reversed(NEVER)]


@pytest.mark.parametrize("sort", SORTS)
def test_pages_of_each_order_have_all_keys_once_and_in_order(filled: Database, sort: str) -> None:
    down = [each.name for each in _walked(filled, sort, descending=True)]
    assert sorted(down) == sorted({*USED, *NEVER})
    assert [each.name for each in _walked(filled, sort, descending=False)] == down[::-1]
    at_once = _walked(filled, sort, descending=True, limit=50)
    assert [each.name for each in at_once] == down
    if sort == "made":
        assert all((a.created or 0) >= (b.created or 0) for a, b in pairwise(at_once))


def test_more_names_than_a_statement_takes(filled: Database) -> None:
    names = [f"nobody-{number}" for number in range(1200)] + ["d"]
    found = filled.read_now(lambda connection: last_used(connection, names))
    assert found == {"d": round(NOW * 1e6)}


def test_a_cursor_of_another_order_is_refused(filled: Database) -> None:
    made = KeyQuery(wanted=KeyFilter(), sort="used", descending=True)

    def work(connection: Any) -> Any:
        page = key_order.page(connection, KNOWN, made, cursor="", limit=1, now=NOW)
        other = msgspec.structs.replace(made, sort="made")
        return key_order.page(connection, KNOWN, other, cursor=page.next or "", limit=1, now=NOW)

    with pytest.raises(InvalidRequest):
        filled.read_now(work)
