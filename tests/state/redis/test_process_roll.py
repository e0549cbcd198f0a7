"""The processes that share a real server, and what operators tell them through it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.core.limits.operations import StoreFailed
from gateway.core.processes import ProcessDrain, ProcessRow, host_target
from gateway.core.state_server import StateServer
from gateway.state.redis.connection import RedisConnection
from gateway.state.redis.process_roll import ProcessRoll

from ...ports import lasting_port
from ...valkey import ValkeyServer


@asynccontextmanager
async def roll_at(url: str) -> AsyncIterator[ProcessRoll]:
    connection = RedisConnection(StateServer(url=url))
    async with connection.connected():
        yield ProcessRoll(connection, "gateway")


def row(number: int) -> ProcessRow:
    return ProcessRow(
        id=f"id-{number}",
        host=f"host-{number}",
        pid=number,
        version="1",
        started=1_790_000_000.0,
        # Of a clock that is far off: it is the server's that counts.
        seen=3.0,
        state={"phase": "running", "in_flight": number},
    )


def age(valkey: ValkeyServer, process: str, seconds: float) -> None:
    """Have a process heard of so long ago."""
    valkey.command("ZADD", "{gateway}:processes:s", repr(time.time() - seconds), process)


async def test_processes_are_there_until_nothing_is_heard_of_them(valkey: ValkeyServer) -> None:
    async with roll_at(valkey.url) as roll:
        for number in (2, 1, 3):
            await roll.beat(row(number))
        found, drains = await roll.processes()
        assert [each.id for each in found] == ["id-1", "id-2", "id-3"]
        assert drains == []
        assert all(abs(each.seen - time.time()) < 5 for each in found)
        assert found[1].state == {"phase": "running", "in_flight": 2}
        await roll.leave("id-3")
        age(valkey, "id-2", 10)
        found, _ = await roll.processes()
        assert [round(time.time() - each.seen, -1) for each in found] == [0, 10]
        age(valkey, "id-2", 16)
        assert [each.id for each in (await roll.processes())[0]] == ["id-1"]
        # And whoever answers next takes away what is left of it.
        age(valkey, "id-2", 31)
        await roll.beat(row(1))
        assert valkey.command("HKEYS", "{gateway}:processes:h") == [b"id-1"]
    for key in "hs":
        left: Any = valkey.command("TTL", f"{{gateway}}:processes:{key}")
        assert 0 < left <= 3600


async def test_what_another_version_says_is_gone_past(valkey: ValkeyServer) -> None:
    async with roll_at(valkey.url) as roll:
        await roll.beat(row(1))
        valkey.command("HSET", "{gateway}:processes:h", "id-2", '{"id": 2}')
        age(valkey, "id-2", 0)
        valkey.command("HSET", "{gateway}:processes:d", "host:x", f"{time.time() + 60} nonsense")
        found, drains = await roll.processes()
        assert [each.id for each in found] == ["id-1"]
        assert [(each.target, each.by) for each in drains] == [("host:x", None)]


async def test_drains_last_by_the_clock_of_the_server(valkey: ValkeyServer) -> None:
    wanted = ProcessDrain(target=host_target("host-1"), until=0.0, by="root", reason="a  reason")
    async with roll_at(valkey.url) as roll:
        assert (await roll.beat(row(1))).drains == []
        assert not await roll.drain(wanted, 60.0)
        (found,) = (await roll.beat(row(1))).drains
        assert (found.target, found.by, found.reason) == ("host:host-1", "root", "a  reason")
        assert 55 < found.until - time.time() < 65
        assert (await roll.processes())[1][0].target == found.target
        assert await roll.drain(wanted, 120.0)
        assert await roll.enable(wanted.target)
        assert not await roll.enable(wanted.target)
        assert (await roll.beat(row(1))).drains == []
        valkey.command("HSET", "{gateway}:processes:d", "host:x", f"{time.time() - 1} {{}}")
        assert (await roll.beat(row(1))).drains == []
        assert not await roll.enable("host:x")


async def test_a_cancellation_is_for_those_that_ask_within_a_minute(valkey: ValkeyServer) -> None:
    async with roll_at(valkey.url) as roll:
        await roll.cancel("req_1")
        ((request_id, at),) = (await roll.beat(row(1))).cancelled
        assert request_id == "req_1"
        assert (await roll.beat(row(2))).cancelled == [("req_1", at)]
        valkey.command("ZADD", "{gateway}:processes:x", repr(time.time() - 61), "req_1")
        assert (await roll.beat(row(1))).cancelled == []


async def test_a_server_that_is_away_is_said_to_be() -> None:
    roll = ProcessRoll(RedisConnection(StateServer(url=f"redis://127.0.0.1:{lasting_port()}")), "g")
    for ask in (roll.processes(), roll.beat(row(1)), roll.cancel("x"), roll.enable("host:x")):
        with pytest.raises(StoreFailed):
            await ask
