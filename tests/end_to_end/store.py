"""What a gateway has on record, and load of which every answer is counted."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import h11
import trio
from sqlalchemy import Table, select, text

from gateway.core.records.periods import DAY, HOUR, MINUTE
from gateway.store.engine import migrate
from gateway.store.engine.database import Database
from gateway.store.engine.schema import FIRST_EVENT, LATENCY, rollups
from gateway.store.engine.schema import requests as requests_table

from ..fork_server import popen
from .caller import Caller, Reply, calling, get
from .harness import PATIENCE, ROOT

ADMIN: Final = "sk-admin-of-the-tests"
ADMINS: Final = f'[[admins]]\nname = "root"\nkey = "{ADMIN}"\n'
_SUMS: Final = (
    *("cached", "attempts", "input_tokens", "output_tokens", "cached_tokens"),
    *("reasoning_tokens", "cache_write_tokens", "cost_nano_usd", "reported_cost_nano_usd"),
    *("latency_us", "first_event_us"),
)


class Kept:
    """The database of a gateway, looked at beside it. `store` is what `[store]` says of it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.store = f'url = "{url}"\nauto_migrate = true'
        self.database = Database(url, folder)

    def execute(self, statement: str) -> None:
        self.database.write_now(lambda connection: connection.execute(text(statement)))

    def revision(self) -> str | None:
        """Return the revision of the schema."""
        return migrate.current(self.database)

    def rows(self, table: Table = requests_table) -> list[dict[str, Any]]:
        """Return all rows, in the order of their key."""
        query = select(table).order_by(*table.primary_key.columns)
        return self.database.read_now(
            lambda connection: [dict(row._mapping) for row in connection.execute(query)]
        )

    def ids(self) -> list[str]:
        """Return the id of each request, as often as it is on record."""
        query = select(requests_table.c.request_id)
        return self.database.read_now(lambda connection: [*connection.scalars(query)])

    async def until(self, wanted: Collection[str], seconds: float = PATIENCE) -> list[str]:
        """Return `ids` once all that are wanted are among them; fail if that takes too long."""
        missing: set[str] = set()
        with trio.move_on_after(seconds):
            while True:
                found = await trio.to_thread.run_sync(self.ids)
                missing = set(wanted).difference(found)
                if not missing:
                    return found
                await trio.sleep(0.1)
        raise AssertionError(f"{len(missing)} of {len(wanted)} are not on record: {missing}")

    async def of(self, request_id: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Return the row of a request, once there is one."""
        await self.until([request_id], seconds)
        (found,) = [row for row in self.rows() if row["request_id"] == request_id]
        return found

    def check_rollups(self) -> None:
        """Check that the roll-ups of each period are what the rows add up to."""
        rows, sums = self.rows(), self.rows(rollups)
        for period in (MINUTE, HOUR, DAY):
            expected: Counter[tuple[Any, ...]] = Counter()
            for row in rows:
                start = row["time"] - row["time"] % (period * 1_000_000)
                key = (start, row["provider"] or "", row["token"] or "", row["status"])
                expected[*key, "requests"] += 1
                expected[*key, "errors"] += row["failed"]
                for name in _SUMS:
                    expected[*key, name] += row[name] or 0
            found: Counter[tuple[Any, ...]] = Counter()
            for each in sums:
                if each["period"] == period:
                    key = (each["start"], each["provider"], each["token"], each["status"])
                    for name in ("requests", "errors", *_SUMS):
                        found[*key, name] += each[name]
                    assert sum(each[name] for name in LATENCY) == each["requests"]
                    assert sum(each[name] for name in FIRST_EVENT) <= each["requests"]
            assert +found == +expected


@contextlib.contextmanager
def kept(url: str, folder: Path) -> Iterator[Kept]:
    found = Kept(url, folder)
    try:
        yield found
    finally:
        found.database.close()


def demo(*, store: str = "", more: str = "", server: str = "drain_delay = 0") -> str:
    """Return a configuration with the model `m`, which the gateway answers by itself, and fast."""
    route = '{ provider = "p", model = "x", input_price = 1, output_price = 2 }'
    return (
        f'[server]\nbind = "127.0.0.1:0"\n{server}\n[overload]\nlag = 0\n[store]\n{store}\n'
        f'[providers.p]\nkind = "demo"\ntoken_interval = 0\n'
        f'[[models]]\nname = "m"\nroutes = [{route}]\n{ADMINS}{more}\n'
    )


# Load...


class Load:
    """Requests at a steady rate, each with an id of its own, on connections that are kept open.

    `answered` has when each was, in whole; `failed` what went wrong with which of the others.
    Times are Trio's, seconds.
    """

    def __init__(self, port: int, *, name: str, callers: int, pace: float) -> None:
        self.answered: dict[str, float] = {}
        self.took: list[tuple[float, float]] = []
        self.failed: dict[str, str] = {}
        self._port = port
        self._name = name
        self._callers = callers
        self._pace = pace
        self._made = 0
        self._stopped = trio.Event()

    def __repr__(self) -> str:
        return f"<Load {len(self.answered)} answered, {len(self.failed)} failed>"

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(self._callers):
                nursery.start_soon(self._keep_calling, number)

    def stop(self) -> None:
        """Have no more requests made; `run` returns when those under way have ended."""
        self._stopped.set()

    def p99(self, since: float = 0.0, until: float = float("inf")) -> float:
        """Return how many milliseconds 99 % of what was answered in that time took at most."""
        found = sorted(took for at, took in self.took if since <= at <= until)
        return round(found[int(len(found) * 0.99)] * 1000, 1) if found else 0.0

    async def _keep_calling(self, number: int) -> None:
        # Not all at the same moment.
        await trio.sleep(self._pace * number / self._callers)
        while not self._stopped.is_set():
            request_id = ""
            try:
                async with calling(self._port) as caller:
                    while not self._stopped.is_set():
                        self._made += 1
                        request_id = f"{self._name}-{self._made}"
                        if not await self._call(caller, request_id):
                            break
            except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError) as exc:
                self.failed[request_id] = repr(exc)
                await trio.sleep(0.02)

    async def _call(self, caller: Caller, request_id: str) -> bool:
        """Make a request; say whether the connection can carry another."""
        began = trio.current_time()
        await caller.ask(request_id=request_id, stream=self._made % 5 == 0)
        reply = await caller.reply()
        now = trio.current_time()
        if reply.status == 200 and reply.complete:
            self.answered[request_id] = now
            self.took.append((now, now - began))
        else:
            self.failed[request_id] = f"{reply.status}, complete: {reply.complete}"
        with trio.move_on_at(began + self._pace):
            await self._stopped.wait()
        return reply.complete and "close" not in reply.headers.get("connection", "")


@contextlib.asynccontextmanager
async def loading(
    port: int, *, name: str = "r", callers: int = 6, pace: float = 0.4
) -> AsyncIterator[Load]:
    """Call the gateway for as long as this is entered; afterwards nothing is under way."""
    load = Load(port, name=name, callers=callers, pace=pace)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run)
        try:
            yield load
        finally:
            load.stop()


async def eventually(is_so: Callable[[], Awaitable[object]], what: str) -> None:
    """Wait until what `is_so` finds out is true; fail, naming `what`, if it does not get so."""
    pause = 0.05
    with trio.move_on_after(PATIENCE):
        while not await is_so():  # any condition, which no event tells
            await trio.sleep(pause)
            # What takes long to come need not be looked for so often.
            pause = min(pause * 1.1, 0.25)
        return
    raise AssertionError(f"not within {PATIENCE:g} s: {what}")


# An operator's and an admin's hands...


async def gateway_command(
    file: Path, *arguments: str, env: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `gateway ...` on the configuration `file`."""
    return await trio.to_thread.run_sync(
        partial(
            popen.run,
            [sys.executable, "-m", "gateway", *arguments, "--config", str(file)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            cwd=file.parent,
            env={**os.environ, **(env or {}), "PYTHONPATH": str(ROOT)},
            input=stdin,
        )
    )


async def admin(port: int, path: str, key: str = ADMIN) -> Any:
    """Return what the admin API says at `path`."""
    reply = await get(port, f"/admin/api/{path}", key=key)
    assert reply.status == 200, reply.body
    return reply.json


async def post(port: int, path: str, key: str = ADMIN) -> Reply:
    async with calling(port) as caller:
        await caller.begin(0, key=key, target=f"/admin/api/{path}")
        await caller.stream.send_all(caller._send(h11.EndOfMessage()))
        return await caller.reply()
