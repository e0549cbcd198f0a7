"""Real processes that share a real server."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import Any

import pytest
import trio

from gateway.core.limits.ledger import Demand, Scope, ScopeLimits
from gateway.core.limits.operations import AdmitCall, Admitted, NotAdmitted
from gateway.core.state_server import StateServer
from gateway.state.redis.limit_store import RedisLimitStore

from ...fork_server import popen
from ...rounds import rounds
from ...valkey import ValkeyServer

PROCESSES = rounds(4, 8)
CROWD = "from tests.state.redis.crowd import start; start()"
HOLDER = """
import sys, trio
from gateway.core.limits.ledger import Demand, Scope, ScopeLimits
from gateway.core.limits.operations import AdmitCall
from gateway.core.state_server import StateServer
from gateway.state.redis.limit_store import RedisLimitStore

async def main():
    store = RedisLimitStore(StateServer(url=sys.argv[1]))
    scopes = (Scope("token:a", ScopeLimits(max_concurrent=50)),)
    async with store.connected():
        for number in range(50):
            await store.call(AdmitCall(str(number), scopes, Demand(), float(sys.argv[2])))
        print("held", end="", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.slow
@pytest.mark.measured
def test_eight_processes_are_as_exact_as_one(valkey: ValkeyServer) -> None:
    """Within 1 % of what is due: a bucket, and what it refills while they ask."""
    seconds, rate, rpm = rounds((3.0, 60.0, 300), (20.0, 125.0, 6_000))
    crowd = [
        popen.Popen(
            [*popen.SCRIPT, CROWD, valkey.url, str(seconds), str(rate), str(rpm)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for process in crowd:
        assert process.stdout is not None
        while process.stdout.readline() != "ready\n":
            assert process.poll() is None
    told = f"{time.time() + 0.2}\n"
    for process in crowd:
        assert process.stdin is not None
        process.stdin.write(told)
        process.stdin.flush()
    found = [process.communicate(timeout=seconds + 60)[0].split() for process in crowd]
    admitted = sum(int(each[0]) for each in found)
    asked = sum(int(each[1]) for each in found)
    assert [each[2] for each in found] == ["0"] * PROCESSES
    due = rpm + rpm / 60 * seconds
    assert asked > 1.5 * due
    # A process that is late on a busy machine asks for a little longer.
    assert due * 0.99 <= admitted <= due * 1.01 + rpm / 60 * 0.5
    level: Any = valkey.command("HGET", "{gateway}:l:token:crowd", "r")
    assert float(level) > 0
    assert valkey.command("EXISTS", "{gateway}:c:token:crowd") == 0


async def test_no_lease_outlives_a_killed_process(valkey: ValkeyServer) -> None:
    lease = 1.5
    holder = await popen.open_process(
        [*popen.SCRIPT, HOLDER, valkey.url, str(lease)], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    store = RedisLimitStore(StateServer(url=valkey.url))
    async with holder.stdout, store.connected():
        with trio.fail_after(30):
            assert await holder.stdout.receive_some() == b"held"
        os.kill(holder.pid, signal.SIGKILL)
        await holder.wait()
        scopes = (Scope("token:a", ScopeLimits(max_concurrent=50)),)
        call = AdmitCall("x", scopes, Demand(), 60.0)
        assert isinstance(await store.call(call), NotAdmitted)
        await trio.sleep(lease)
        assert isinstance(await store.call(call), Admitted)
        assert valkey.command("ZCARD", "{gateway}:c:token:a") == 1


async def test_everything_but_total_budgets_is_forgotten_by_itself(valkey: ValkeyServer) -> None:
    store = RedisLimitStore(StateServer(url=valkey.url))
    async with store.connected():
        scopes = (Scope("token:a", ScopeLimits(rpm=60, tpm=60, max_concurrent=5)),)
        await store.call(AdmitCall("x", scopes, Demand(1), 60.0))
    keys: Any = valkey.command("KEYS", "*")
    assert len(keys) == 3
    for key in keys:
        assert 0 < int(str(valkey.command("TTL", key.decode()))) <= 3700


async def test_a_server_whose_clock_is_behind_keeps_nobody_waiting(valkey: ValkeyServer) -> None:
    """After a failover to a machine an hour behind, what is left to wait is what it was."""
    store = RedisLimitStore(StateServer(url=valkey.url))
    scopes = (Scope("token:a", ScopeLimits(rpm=60, max_concurrent=50)),)
    async with store.connected():
        for number in range(30):
            await store.call(AdmitCall(str(number), scopes, Demand(), 0.001))
        account = "{gateway}:l:token:a"
        for field in ("r", "n"):
            value: Any = valkey.command("HGET", account, field)
            valkey.command("HSET", account, field, repr(float(value) + 3600))
        valkey.command("ZADD", "{gateway}:c:token:a", repr(3600 + time.time() - 1.7e9), "left")
        answer = await store.call(AdmitCall("x", scopes, Demand(), 60.0))
        assert isinstance(answer, Admitted)
        assert 25 < answer.levels[0].requests < 32
        score: Any = valkey.command("ZSCORE", "{gateway}:c:token:a", "left")
        assert score is None or float(score) < time.time() - 1.7e9 + 100
