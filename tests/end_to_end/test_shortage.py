"""A gateway that lacks descriptors."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from .caller import calling
from .harness import GATEWAY, config, spawned
from .provider import serving, speaking

Write = Callable[[str], Path]

pytestmark = pytest.mark.slow


def first_free_descriptor(pid: int) -> int:
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    return next(number for number in range(10_000) if number not in taken)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_no_descriptors_left_is_not_the_providers_fault(write: Write, host: str) -> None:
    async with serving(speaking) as provider:
        text = config(provider.port, retry="max_attempts = 3\nbase = 0.01")
        file = write(text.replace("http://127.0.0.1:", f"http://{host}:"))
        async with spawned([*GATEWAY], file) as served, calling(served.port) as caller:
            # The connection is there; one to a provider is not yet.
            assert (await caller.get("/health/ready")).status == 200
            _, most = resource.prlimit(served.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(
                served.pid, resource.RLIMIT_NOFILE, (first_free_descriptor(served.pid), most)
            )
            for _ in range(8):
                await caller.ask()
                reply = await caller.reply()
                assert (reply.status, reply.json["error"]["code"]) == (503, "overloaded")
                assert 1 <= int(reply.headers["retry-after"]) <= 5
            resource.prlimit(served.pid, resource.RLIMIT_NOFILE, (most, most))
            # The breaker would have opened at five.
            await caller.ask()
            assert (await caller.reply()).status == 200
            # Once per interval, of 8 requests and their attempts.
            assert served.said.count(b"short of resources") == 1
            served.terminate()
            assert await served.exit_status() == 0
            records = served.lines.splitlines()
            assert sum(b"local_shortage" in line for line in records) == 8
            assert sum(b"connect_failed" in line for line in records) == 0
