"""PostgreSQL databases that one test leaves to the next: quicker than to copy one for each."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from .postgres import HELD_BY, PostgresServer

# How many rows a table of the catalogue has and which transaction wrote last to it: whatever
# changes tables, indexes, functions or statistics changes one of these. TRUNCATE writes to pg_class
# alone, of which names are looked at.
_CATALOGUE: Final = (
    *("pg_attribute", "pg_attrdef", "pg_constraint", "pg_index", "pg_trigger", "pg_proc"),
    *("pg_namespace", "pg_type", "pg_rewrite", "pg_statistic", "pg_inherits", "pg_extension"),
)
_LATEST: Final = "(SELECT count(*) || ' ' || coalesce(max(xmin::text::bigint), 0) FROM {})"
_NAMES: Final = (
    "(SELECT md5(string_agg(concat_ws(' ', oid, relname, relkind, reloptions), ',' ORDER BY oid))"
    " FROM pg_class)"
)
_SETTINGS: Final = (
    "(SELECT count(*)::text FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase"
    " WHERE d.datname = current_database())"
)
# Each table of ours, whether it has or had a row, and whether VACUUM has counted that it has none.
_TABLES: Final = (
    "SELECT quote_ident(relname), pg_relation_size(oid) > 0, reltuples = 0 FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
)
_OTHERS_END: Final = (
    "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
# More than are free at once; each is a process of the server.
_KEPT: Final = 8


class EmptiedDatabases:
    """Copies of `template`: who is done with one gives it back, and it is emptied for another.

    One of which more has changed than rows is dropped: the next is a new copy.
    """

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._free: list[str] = []
        # A new process of the server takes five times as long to read the catalogue as one that
        # has read it before.
        self._connections: dict[str, psycopg.Connection[Any]] = {}
        # Tables that the migrations have written to, which are to stay as they are.
        self._written: tuple[str, ...] = ()
        self._original: list[object] = []

    def take(self) -> str:
        """Return the name of a database that is as the template is."""
        if self._free:
            return self._free.pop()
        name = self._server.new_database(self._template)
        if not self._original:
            tables = self._server.execute(_TABLES, name)
            self._written = tuple(str(table) for table, filled, _ in tables if filled)
            self._original = self._state(name)
        return name

    def give_back(self, name: str) -> None:
        if not self._server.is_running():
            self._server.start()
        if self._can_be_used_again(name):
            self._free.append(name)
            if len(self._connections) > _KEPT:
                self._disconnect(name)
        else:
            self._disconnect(name)
            self._server.drop_database(name)

    def close(self) -> None:
        for name in [*self._connections]:
            self._disconnect(name)

    def _can_be_used_again(self, name: str) -> bool:
        known = self._connections.get(name)
        if known is not None:
            try:
                return self._emptied(known)
            except psycopg.OperationalError:
                # The test has ended it, or the server.
                self._disconnect(name)
        self._connections[name] = self._server.connect(name, HELD_BY)
        return self._emptied(self._connections[name])

    def _disconnect(self, name: str) -> None:
        if found := self._connections.pop(name, None):
            found.close()

    def _state(self, name: str) -> list[object]:
        return [*self._server.execute(f"SELECT {self._looked_at()}", name)[0]]

    def _looked_at(self) -> str:
        latest = [_LATEST.format(table) for table in (*_CATALOGUE, *self._written)]
        return ", ".join([*latest, _NAMES, _SETTINGS])

    def _emptied(self, connection: psycopg.Connection[Any]) -> bool:
        """Empty it, unless more is different than that."""
        connection.execute(_OTHERS_END)
        found = connection.execute(f"SELECT {self._looked_at()}").fetchone()
        if found is None or [*found] != self._original:
            return False
        filled = []
        for table, has_pages, counted in connection.execute(_TABLES):
            if table in self._written:
                continue
            if has_pages:
                filled.append(table)
            elif counted:
                return False
        if filled:
            # The audit log's trigger lets nobody take rows away.
            connection.execute("SET session_replication_role = replica")
            connection.execute(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE")
        return True
