"""Sessions of agents on both engines: newest first, totals, pages that stay, bounded work."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest
from sqlalchemy import insert

from gateway.errors import InvalidRequest
from gateway.store.engine.database import Database
from gateway.store.engine.ids import id_of
from gateway.store.engine.schema import requests
from gateway.store.queries import agent_sessions, session_thread
from gateway.store.queries.agent_sessions import SessionPage
from gateway.store.queries.filters import Filter
from gateway.store.queries.user_usage import by_user, in_time
from tests.store.filling import plain

START: Final = 1_790_000_000_000_000
SECOND: Final = 1_000_000


def put(database: Database, rows: list[dict[str, Any]]) -> None:
    """Write requests, one a second."""
    made = [plain(id_of(START + number * SECOND, 0), **row) for number, row in enumerate(rows)]
    database.write_now(lambda connection: connection.execute(insert(requests), made))


def page(database: Database, wanted: Filter = Filter(), **more: Any) -> SessionPage:  # noqa: B008
    return database.read_now(lambda connection: agent_sessions.page(connection, wanted, **more))


def names(database: Database, wanted: Filter = Filter(), **more: Any) -> list[list[str]]:  # noqa: B008
    """Return the names on each page."""
    found = []
    after = None
    while True:
        each = page(database, wanted, after=after, **more)
        found.append([row.id for row in each.rows])
        after = each.next
        if after is None:
            return found


def test_the_newest_come_first_each_once_with_totals(database: Database) -> None:
    put(database, [
        {"session": "a", "model": "m", "input_tokens": 10, "output_tokens": 1, "cached_tokens": 5,
         "cost_nano_usd": 100},
        {"session": "b", "token": "k"},
        {},
        {"session": ""},
        {"session": "a", "model": "n", "input_tokens": 20, "status": 500,
         "end_reason": "providers_failed", "team": "search", "token": "k2"},
        {"session": "c"},
    ])  # fmt: skip
    found = page(database)
    assert [each.id for each in found.rows] == ["c", "a", "b"]
    assert (found.next, found.scanned_until) == (None, None)
    a = found.rows[1]
    # The second has tokens and no cost: that is not known, and the sum is of the others.
    assert msgspec.to_builtins(a.totals) == {
        "requests": 2, "errors": 1, "input_tokens": 30, "output_tokens": 1, "cached_tokens": 5,
        "cost_nano_usd": 100, "cost_unknown": 1, "first": START, "last": START + 4 * SECOND,
    }  # fmt: skip
    # What else is shown is of its newest request.
    assert (a.model, a.token, a.team) == ("n", "k2", "search")


def test_pages_have_each_session_once_whatever_comes_in_meanwhile(database: Database) -> None:
    put(database, [{"session": f"s{number % 7}"} for number in range(40)])
    # The last requests are of s4, s3, s2, s1, s0, s6, s5.
    assert names(database, limit=3) == [["s4", "s3", "s2"], ["s1", "s0", "s6"], ["s5"]]
    first = page(database, limit=3)
    late = plain(id_of(START + 1000 * SECOND, 0), session="s5")
    new = plain(id_of(START + 1001 * SECOND, 0), session="new")
    database.write_now(lambda connection: connection.execute(insert(requests), [late, new]))
    # One that has moved to the front is not on a later page again.
    second = page(database, limit=3, after=first.next)
    assert [each.id for each in second.rows] == ["s1", "s0", "s6"]
    assert second.next is None


def test_filters_choose_sessions_with_such_a_request(database: Database) -> None:
    put(database, [
        {"session": "a", "model": "m", "token": "k"},
        {"session": "b", "model": "n", "token": "k"},
        {"session": "a", "model": "n", "token": "j"},
        {"session": "c", "model": "m", "token": "j", "user": "u"},
    ])  # fmt: skip
    assert names(database, Filter(model=("m",))) == [["c", "a"]]
    assert names(database, Filter(model=("m",)), limit=1) == [["c"], ["a"]]
    assert names(database, Filter(token=("k",))) == [["b", "a"]]
    assert names(database, Filter(until=START + 2 * SECOND)) == [["b", "a"]]
    assert names(database, Filter(since=START + 3 * SECOND)) == [["c"]]
    assert names(database, by="user") == [["u"]]
    # Totals are of the whole session.
    assert page(database, Filter(model=("m",))).rows[1].totals.requests == 2


def test_a_search_is_bounded_and_goes_on_where_it_stopped(database: Database) -> None:
    put(database, [{"session": "old"}, *({"session": "long"} for _ in range(30))])
    first = page(database, limit=5, budget=10)
    assert [each.id for each in first.rows] == ["long"]
    assert first.scanned_until == START + 21 * SECOND
    found = names(database, limit=5, budget=10)
    assert [name for each in found for name in each] == ["long", "old"]


def test_cursors_are_of_their_query(database: Database) -> None:
    put(database, [{"session": f"s{number}", "user": "u"} for number in range(3)])
    after = page(database, limit=1).next
    for wanted, more in ((Filter(model=("m",)), {}), (Filter(), {"by": "user"})):
        with pytest.raises(InvalidRequest, match="another query"):
            page(database, wanted, after=after, **more)
    for limit in (0, agent_sessions.MAX_LIMIT + 1):
        with pytest.raises(InvalidRequest, match="limit"):
            page(database, limit=limit)


HEADS: Final = (
    None,
    '{"x-claude-code-agent-id":"one"}',
    '{"x-claude-code-agent-id":"two","x-claude-code-parent-agent-id":"one","other":"1"}',
    '{"x-claude-code-agent-id":"two","x-claude-code-parent-agent-id":"one","other":"2"}',
    '{"thread-id":"t"}',
    '{"thread-id":"t2","x-codex-parent-thread-id":"t"}',
)


def test_agents_are_told_apart(database: Database) -> None:
    put(database, [{"session": "a", "metadata": head, "input_tokens": 1} for head in HEADS])
    found = database.read_now(lambda connection: session_thread.summary(connection, "a"))
    assert found is not None
    assert [(each.id, each.parent, each.totals.requests) for each in found.agents] == [
        (None, None, 2), ("one", None, 1), ("two", "one", 2), ("t2", "t", 1),
    ]  # fmt: skip
    assert found.session.totals.requests == 6
    assert not found.more_agents
    for agent, count in (("main", 2), ("one", 1), ("two", 2), ("t", 0), ("t2", 1)):
        wanted = Filter(agent=(agent,))
        shown = page(database, wanted).rows
        assert len(shown) == (count > 0), agent
    assert database.read_now(lambda connection: session_thread.summary(connection, "none")) is None


def test_users_are_added_up(database: Database) -> None:
    put(database, [
        *({"user": "u", "input_tokens": 5, "cost_nano_usd": 10} for _ in range(3)),
        {"user": "v", "input_tokens": 50, "cost_nano_usd": 1, "model": "m"},
        {"user": "w", "input_tokens": 1},
        {},
    ])  # fmt: skip
    everything = Filter(since=START, until=START + 100 * SECOND)
    rows = database.read_now(lambda connection: by_user(connection, everything))
    assert [(row["user"], row["cost_nano_usd"], row["requests"]) for row in rows] == [
        ("u", 30, 3), ("v", 1, 1), ("w", None, 1),
    ]  # fmt: skip
    rows = database.read_now(
        lambda connection: by_user(connection, everything, order="input_tokens", limit=1)
    )
    assert [row["user"] for row in rows] == ["v"]
    rows = database.read_now(
        lambda connection: by_user(connection, msgspec.structs.replace(everything, model=("m",)))
    )
    assert [row["user"] for row in rows] == ["v"]
    course = database.read_now(
        lambda connection: in_time(connection, everything, ["u"], 2 * SECOND)
    )
    assert sorted((row["time"] - START, row["requests"]) for row in course) == [
        (0, 2), (2 * SECOND, 1),
    ]  # fmt: skip
