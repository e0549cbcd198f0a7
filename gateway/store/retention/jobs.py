"""Jobs that one of several processes does for all: the first to ask once a job is due."""

from __future__ import annotations

from sqlalchemy import Connection, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ..engine.schema import jobs


def claim(connection: Connection, name: str, now: int, every: int) -> int | None:
    """Take the job, so that it is due again `every` microseconds from `now`.

    Returns None if the caller has the job, else when it is due (microseconds). Call it in a
    transaction that writes. A process that needs long should `renew` the job; it need not give it
    back.
    """
    row = jobs.c.name == name
    # Of two processes that do this at once the second waits for the first, and then finds the job
    # not due. A time later than any process would have set comes from a clock that was wrong.
    free = or_(jobs.c.due <= now, jobs.c.due > now + 2 * every)
    if connection.execute(update(jobs).where(row, free).values(due=now + every)).rowcount:
        return None
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    first = insert(jobs).values(name=name, due=now + every).on_conflict_do_nothing()
    # SQLAlchemy keeps the row count of an INSERT only if asked to.
    counted = first.execution_options(preserve_rowcount=True)
    if connection.execute(counted).rowcount:
        return None
    return connection.scalar(select(jobs.c.due).where(row)) or now


def renew(connection: Connection, name: str, due: int) -> None:
    """Move the time at which other processes may take the job: it is still being done."""
    connection.execute(update(jobs).where(jobs.c.name == name).values(due=due))
