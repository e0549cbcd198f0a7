"""What commands know of the processes of a gateway, and tell them: by [state], else by [store]."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ..config import load
from ..core.processes import GONE, ProcessDrain, ProcessRow, host_target, process_target
from ..core.records.audit import AuditAction, AuditResult
from ..core.state_server import StateServer
from ..errors import ConfigError, NotFound, StoreUnavailable
from ..installation import how_to_add
from ..interrupts import leave_to_trio
from .audit_entry import append_note, by_operator, operator, record_action
from .store import opened

if TYPE_CHECKING:
    from ..control.processes.drains import ProcessChange
    from ..state.redis.process_roll import ProcessRoll
    from ..store.control.generations import Transaction
    from ..store.engine.database import Database

T = TypeVar("T")


class ToldProcesses(NamedTuple):
    """All processes that have been heard of of late, the drains, and where that is from."""

    rows: list[ProcessRow]
    drains: list[ProcessDrain]
    source: str


def told_processes(file: Path) -> ToldProcesses:
    """Return them by host and age. Raises ConfigError, StoreUnavailable."""
    if (settings := _state(file)) is not None:
        return ToldProcesses(*_in_state(settings, lambda roll: roll.processes()), "state")
    from ..store.control.process_drains import drains
    from ..store.control.processes import all_processes

    with _database(file) as database:
        now = time.time()
        rows = database.read_now(all_processes)
        found = database.read_now(lambda connection: drains(connection, now))
    return ToldProcesses([row for row in rows if now - row.seen < GONE], found, "database")


def target_of(known: ToldProcesses, name: str) -> str:
    """Return what `name` stands for: HOST, HOST/PID or a process's id. Raises NotFound."""
    if any(row.host == name for row in known.rows):
        return host_target(name)
    for row in known.rows:
        if name in (row.id, f"{row.host}/{row.pid}"):
            return process_target(row.id)
    raise NotFound(f"there is no host or process {name!r}; `gateway status` lists all")


def drain(file: Path, target: str, seconds: float, reason: str) -> ProcessChange:
    """Drain `target`. Raises ConfigError, StoreUnavailable and InvalidRequest."""
    from ..control.changes import Actor
    from ..control.processes import drains

    actor = Actor(operator(), time.time())
    if (settings := _state(file)) is not None:
        change = drains.drain_wanted(target, seconds, reason, actor)
        wanted = change.drain
        assert wanted is not None
        _in_state(settings, lambda roll: roll.drain(wanted, seconds))
        _record(file, change)
        return change
    return _in_database(
        file, lambda connection: drains.drain(connection, target, seconds, reason, actor)
    )


def enable(file: Path, target: str) -> ProcessChange:
    """Have `target` in service again. Raises ConfigError and StoreUnavailable."""
    from ..control.changes import Actor
    from ..control.processes import drains

    actor = Actor(operator(), time.time())
    if (settings := _state(file)) is not None:
        was = _in_state(settings, lambda roll: roll.enable(target))
        change = drains.enabled_note(target, was)
        _record(file, change)
        return change
    return _in_database(file, lambda connection: drains.enable(connection, target, actor))


def cancel(file: Path, request_id: str) -> None:
    """Have a request cancelled, wherever it is. Raises ConfigError and StoreUnavailable."""
    event = by_operator(
        AuditAction.REQUEST_CANCELLED, AuditResult.OK, request_id, others_asked=True
    )
    if (settings := _state(file)) is not None:
        _in_state(settings, lambda roll: roll.cancel(request_id))
        record_action(file, event)
        return
    from ..store.control import cancellations
    from ..store.writing import chain

    def ask(connection: Transaction) -> None:
        cancellations.ask(connection, request_id, time.time())
        chain.append(connection, [event])

    with _database(file) as database:
        database.write_now(ask)


def _state(file: Path) -> StateServer | None:
    settings = load.table(file, StateServer)
    return settings if settings.url else None


def _database(file: Path) -> AbstractContextManager[Database]:
    if not load.store(file).url:
        raise ConfigError(
            [
                f"{file}: neither [store] nor [state] has a url, so that processes tell nobody how"
                " they are; ask one of them: GET /admin/api/status"
            ]
        )
    return opened(file)


def _in_database(file: Path, work: Callable[..., ProcessChange]) -> ProcessChange:
    def both(connection: Transaction) -> ProcessChange:
        change = work(connection)
        append_note(connection, change.note)
        return change

    with _database(file) as database:
        return database.write_now(both)


def _record(file: Path, change: ProcessChange) -> None:
    if (note := change.note) is not None:
        record_action(file, by_operator(note.action, AuditResult.OK, note.target, **note.details))


def _in_state(settings: StateServer, ask: Callable[[ProcessRoll], Awaitable[T]]) -> T:
    """Return what the server of [state] says. Raises StoreUnavailable, ConfigError."""
    import trio

    from ..core.limits.operations import StoreFailed

    try:
        from ..state.redis.connection import RedisConnection
        from ..state.redis.process_roll import ProcessRoll
    except ImportError as exc:
        raise ConfigError([f"[state] url needs coredis ({exc}): {how_to_add('redis')}"]) from exc

    async def connected() -> T:
        connection = RedisConnection(settings)
        async with connection.connected():
            return await ask(ProcessRoll(connection, settings.prefix))

    leave_to_trio()
    try:
        return trio.run(connected)
    except StoreFailed as exc:
        raise StoreUnavailable(f"the server of [state] cannot be used: {exc}") from exc
    except BaseExceptionGroup as group:
        # Ctrl-C, as the tasks of a connection hand it on.
        if group.split(KeyboardInterrupt)[1] is not None:
            raise
        raise KeyboardInterrupt from None
