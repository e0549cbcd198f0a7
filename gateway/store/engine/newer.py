"""Whether this code can use a database that a newer version has upgraded.

Hosts are upgraded one after the other, and a process of the version before may have to be started
again meanwhile. Revisions only add (`tests/store/engine/test_newer.py`), so what this code needs
is still there. That is looked for rather than believed: a revision that takes something away is
seen to have done so.
"""

from __future__ import annotations

from sqlalchemy import Connection, inspect

from .condensed_table import metadata


def obstacles(connection: Connection) -> list[str]:
    """Return what this code needs and is not there, and what is there and wants to be written."""
    found = inspect(connection).get_multi_columns()
    columns = {name: {each["name"]: each for each in of_it} for (_, name), of_it in found.items()}
    obstacles = []
    for table in metadata.sorted_tables:
        there = columns.get(table.name)
        if there is None:
            obstacles.append(f"there is no table {table.name}")
            continue
        own = {column.name for column in table.columns}
        obstacles += [f"there is no {table.name}.{name}" for name in sorted(own - there.keys())]
        obstacles += [
            f"{table.name}.{name} has to be written"
            for name in sorted(there.keys() - own)
            if not there[name]["nullable"] and there[name]["default"] is None
        ]
    return obstacles
