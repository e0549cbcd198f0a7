"""The rule for revisions: they only add, so that the version before can use what they make."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from gateway.store.engine import migrate
from gateway.store.engine.database import Database
from gateway.store.engine.newer import obstacles

from .test_migrate import REVISIONS

Columns = dict[str, dict[str, Any]]


def columns_of(connection: Connection) -> Columns:
    found = inspect(connection).get_multi_columns()
    return {
        name: {column["name"]: (str(column["type"]), column["nullable"]) for column in columns}
        for (_, name), columns in found.items()
    }


def taken_away(before: Columns, connection: Connection) -> list[str]:
    """Return what the version before the last revision could not use any more."""
    after = columns_of(connection)
    found = []
    for table, columns in before.items():
        if table not in after:
            found.append(f"table {table} is gone")
            continue
        for name, column in columns.items():
            if after[table].get(name) != column:
                found.append(f"{table}.{name} was {column}, is {after[table].get(name)}")
        defaults = {
            each["name"]: each["default"] for each in inspect(connection).get_columns(table)
        }
        found += [
            f"{table}.{name} has to be written"
            for name, (_, nullable) in after[table].items()
            if name not in columns and not nullable and defaults[name] is None
        ]
    return found


def test_every_revision_only_adds(tmp_path: Path) -> None:
    with closing(Database("sqlite:///gateway.db", tmp_path)) as database:
        database.create()
        before: Columns = {}
        broken = []
        applied = []
        scripts = migrate._scripts()
        while True:
            done = database.write_now(lambda c: migrate._apply_next(c, "it", scripts))
            if done is None:
                break
            applied.append(done)
            lost = database.read_now(lambda c, known=before: taken_away(known, c))  # type: ignore[misc]
            broken += [f"{done}: {each}" for each in lost]
            before = database.read_now(columns_of)
    assert applied == REVISIONS
    assert not broken, broken


def test_the_rule_sees_what_breaks_it(tmp_path: Path) -> None:
    with closing(Database("sqlite:///gateway.db", tmp_path)) as database:
        migrate.ensure(database, auto_migrate=True)
        before = database.read_now(columns_of)
        assert database.read_now(obstacles) == []
        for statement in (
            "ALTER TABLE requests ADD COLUMN fine TEXT",
            "ALTER TABLE requests ADD COLUMN fine_too INTEGER NOT NULL DEFAULT 0",
            "CREATE TABLE tomorrow (id INTEGER NOT NULL)",
        ):
            database.write_now(lambda c, said=statement: c.execute(text(said)))  # type: ignore[misc]
        assert database.read_now(lambda c: taken_away(before, c)) == []
        assert database.read_now(obstacles) == []
        for statement in (
            "DROP TABLE kept_objects",
            "ALTER TABLE kept_responses RENAME COLUMN response TO answer",
        ):
            database.write_now(lambda c, said=statement: c.execute(text(said)))  # type: ignore[misc]
        lost = database.read_now(lambda c: taken_away(before, c))
        assert "table kept_objects is gone" in lost
        assert any(each.startswith("kept_responses.response was ") for each in lost)
        assert "kept_responses.answer has to be written" in lost
        assert set(database.read_now(obstacles)) == {
            "there is no table kept_objects",
            "there is no kept_responses.response",
            "kept_responses.answer has to be written",
        }
