"""Two workers: whichever is asked shows what both are doing, and acts on both."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trio

from .caller import Caller, Reply, calling, get
from .harness import GATEWAY, Served, children, config, spawned
from .provider import serving
from .store import ADMIN, ADMINS, eventually
from .test_in_flight import SECOND, TOKEN, stuck

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]
WORKERS = (*GATEWAY, "--workers", "2")
KEY = "sk-app-of-the-tests"


async def asked(served: Served, target: str) -> dict[str, Any]:
    """Return what one of the workers says, each time on a connection of its own."""
    reply = await get(served.port, f"/admin/api/{target}", key=ADMIN)
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json
    return found


async def from_both(served: Served, target: str = "status") -> list[dict[str, Any]]:
    """Return what each worker says, the answers by who gave them."""
    found: dict[int, dict[str, Any]] = {}

    async def both() -> bool:
        state = await asked(served, "status")
        found[state["pid"]] = state if target == "status" else await asked(served, target)
        return len(found) == 2

    await eventually(both, "answers of both workers")
    return [*found.values()]


async def begun(stack: AsyncExitStack, served: Served, many: int) -> list[Caller]:
    """Begin streams, each on a connection of its own, until both workers have some."""
    callers: list[Caller] = []
    pids: set[int] = set()
    while len(callers) < many or len(pids) < 2:
        caller = await stack.enter_async_context(calling(served.port))
        await caller.ask(key=KEY, stream=True)
        assert await caller.head() == 200
        await caller.until(SECOND)
        callers.append(caller)
        pids = {row["pid"] for row in (await asked(served, "in-flight"))["rows"]}
        assert len(callers) < 100
    return callers


async def cancel(served: Served, request_id: str) -> Reply:
    async with calling(served.port) as caller:
        await caller.post(b"", key=ADMIN, target=f"/admin/api/in-flight/{request_id}/cancel")
        return await caller.reply()


async def until_whole(served: Served, workers: Sequence[int] = ()) -> None:
    """Wait until both workers answer each other, and those of `workers` are gone."""

    async def whole() -> bool:
        state = await asked(served, "status")
        pids = {each["pid"] for each in state.get("processes", ())}
        return len(pids) == 2 and not pids & {*workers}

    await eventually(whole, "two workers that know each other")


async def test_either_worker_shows_and_cancels_the_requests_of_both(write: Write) -> None:
    async with (
        serving(stuck) as provider,
        spawned(WORKERS, write(config(provider.port, tokens=f"{ADMINS}{TOKEN}"))) as served,
        AsyncExitStack() as stack,
    ):
        await until_whole(served)
        callers = await begun(stack, served, 6)
        ids = [caller.headers["x-request-id"] for caller in callers]
        for state in await from_both(served):
            assert state["in_flight"] == len(ids)
            assert {each["worker"] for each in state["processes"]} == {0, 1}
            assert sum(each["in_flight"] for each in state["processes"]) == len(ids)
            (deployment,) = state["deployments"]
            assert (deployment["in_flight"], deployment["states"]) == (len(ids), {"closed": 2})
        for found in await from_both(served, "in-flight"):
            assert [row["request_id"] for row in found["rows"]] == ids
            assert (found["total"], found["silent"]) == (len(ids), [])
        page = await asked(served, "in-flight?limit=4")
        rest = await asked(served, f"in-flight?limit=1000&cursor={page['next']}")
        assert [row["request_id"] for row in page["rows"] + rest["rows"]] == ids

        for caller, request_id in zip(callers, ids, strict=True):
            reply = await cancel(served, request_id)
            assert (reply.status, reply.json) == (200, {"cancelled": 1, "others_asked": False})
            got, _ = await caller.rest()
            assert b"cancelled_by_operator" in got
        assert (await cancel(served, ids[0])).status == 404


async def test_a_worker_that_could_not_reload_is_seen_among_the_others(write: Write) -> None:
    file = write(config(1, tokens=f"{ADMINS}{TOKEN}"))
    text = file.read_text()
    async with spawned(WORKERS, file) as served:
        await until_whole(served)
        victim, other = children(served.pid)

        async def configurations() -> dict[int, tuple[int, bool]]:
            hosts = (await asked(served, "status")).get("hosts", ())
            found = {each["pid"]: each["state"] for host in hosts for each in host["processes"]}
            return {
                pid: (state["config"]["generation"], state["config"]["last_error"] is not None)
                for pid, state in found.items()
                if "config" in state
            }

        async def seen(expected: dict[int, tuple[int, bool]]) -> None:
            async def as_expected() -> bool:
                return await configurations() == expected

            await eventually(as_expected, f"{expected}")

        file.write_text("of no kind")
        os.kill(victim, signal.SIGHUP)
        await seen({victim: (1, True), other: (1, False)})
        file.write_text(text.replace("app", "application"))
        os.kill(other, signal.SIGHUP)
        await seen({victim: (1, True), other: (2, False)})
        os.kill(victim, signal.SIGHUP)
        await seen({victim: (2, False), other: (2, False)})


async def test_views_live_through_the_death_of_a_worker(write: Write) -> None:
    async with (
        serving(stuck) as provider,
        spawned(WORKERS, write(config(provider.port, tokens=f"{ADMINS}{TOKEN}"))) as served,
        AsyncExitStack() as stack,
    ):
        await until_whole(served)
        before = children(served.pid)
        callers = await begun(stack, served, 4)
        rows = (await asked(served, "in-flight"))["rows"]
        victim, *_ = before
        left = [row["request_id"] for row in rows if row["pid"] != victim]
        os.kill(victim, signal.SIGKILL)
        while set(children(served.pid)) >= {*before}:  # noqa: ASYNC110  # nothing tells of it
            await trio.sleep(0.01)
        # Until another worker is there, and while it starts, there is one that answers.
        found = await asked(served, "in-flight")
        assert [row["request_id"] for row in found["rows"]] == left
        await until_whole(served, [victim])
        for found in await from_both(served, "in-flight"):
            assert ([row["request_id"] for row in found["rows"]], found["silent"]) == (left, [])
        # A stopped one is alive, and says nothing.
        (other,) = set(before) - {victim}
        fresh = next(pid for pid in children(served.pid) if pid != other)
        os.kill(fresh, signal.SIGSTOP)
        try:

            async def named() -> bool:
                with trio.move_on_after(1):
                    state = await asked(served, "status")
                    return state["pid"] == other and len(state.get("silent", ())) == 1
                return False

            await eventually(named, "a worker that is missed by the other")
        finally:
            os.kill(fresh, signal.SIGCONT)
        await until_whole(served, [victim])
        assert len(callers) >= 4


async def test_a_worker_that_is_alone_shows_itself(write: Write) -> None:
    async with (
        serving(stuck) as provider,
        spawned(GATEWAY, write(config(provider.port, tokens=ADMINS))) as served,
    ):
        state = await asked(served, "status")
        assert state["pid"] == served.pid
        assert not {"processes", "silent", "worker"} & state.keys()
