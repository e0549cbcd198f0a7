"""A gateway that lacks descriptors."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from .caller import calling
from .harness import GATEWAY, config, spawned
from .provider import serving, speaking
from .store import Kept

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


async def test_without_descriptors_what_is_open_serves_and_nothing_is_lost(
    tmp_path: Path, write: Write
) -> None:
    """Database, journal, debug log and configuration cannot be opened; no request fails for it."""
    kept = Kept(f"sqlite:///{tmp_path / 'log.db'}", tmp_path)
    debug_log = "[debug_log]\nsample = 1.0\n"
    async with serving(speaking) as provider:
        file = write(config(provider.port, store=kept.store, models=debug_log))
        async with spawned([*GATEWAY], file) as served, calling(served.port) as caller:
            await caller.ask(request_id="before")
            assert (await caller.reply()).status == 200
            await kept.until(["before"])
            _, most = resource.prlimit(served.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(
                served.pid, resource.RLIMIT_NOFILE, (first_free_descriptor(served.pid), most)
            )
            ids = [f"during-{number}" for number in range(20)]
            for each in ids:
                await caller.ask(request_id=each, stream=True)
                assert (await caller.reply()).status == 200
                # The one connection to the provider is free again a moment after the answer.
                await trio.sleep(0.1)
            served.process.send_signal(signal.SIGHUP)
            # New connections wait for a descriptor.
            async with calling(served.port) as new:
                await new.ask(request_id="new")
                await trio.sleep(2)
                resource.prlimit(served.pid, resource.RLIMIT_NOFILE, (most, most))
                assert (await new.reply()).status == 200
            await kept.until(["before", *ids, "new"])
            assert served.said.count(b"no connection can be accepted") == 1
            assert b"Traceback" not in served.said
            served.terminate()
            assert await served.exit_status() == 0
    assert len(kept.ids()) == 22
