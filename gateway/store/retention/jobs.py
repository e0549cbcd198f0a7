"""Jobs that one of several processes does for all: the first to ask once a job is due."""

from __future__ import annotations

from sqlalchemy import Connection, or_, select, update

from ..engine.schema import jobs
from ..engine.upsert import insert


def claim(
    connection: Connection, name: str, now: int, every: int, lease: int | None = None
) -> int | None:
    """Take the job, which is done `every` so many microseconds, for a `lease` from `now` on.

    Without a `lease` it is for as long as that. Returns None if the caller has the job, else when
    it is due (microseconds). Call it in a transaction that writes. A process that needs longer must
    `renew` the job, and at its end say by that when it is due again.
    """
    until = now + (every if lease is None else lease)
    row = jobs.c.name == name
    # Of two processes that do this at once the second waits for the first, and then finds the job
    # not due. A time later than any process would have set comes from a clock that was wrong.
    free = or_(jobs.c.due <= now, jobs.c.due > now + 2 * every)
    if connection.execute(update(jobs).where(row, free).values(due=until)).rowcount:
        return None
    new = insert(connection, jobs).values(name=name, due=until)
    first = new.on_conflict_do_nothing()
    # SQLAlchemy keeps the row count of an INSERT only if asked to.
    counted = first.execution_options(preserve_rowcount=True)
    if connection.execute(counted).rowcount:
        return None
    return connection.scalar(select(jobs.c.due).where(row)) or now


def renew(connection: Connection, name: str, due: int) -> None:
    """Move the time at which other processes may take the job: it is still being done."""
    connection.execute(update(jobs).where(jobs.c.name == name).values(due=due))
