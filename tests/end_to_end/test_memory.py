"""More request bodies at once than the process has memory for."""

from __future__ import annotations

import contextlib
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from ..ports import lasting_port
from ..rounds import rounds
from .caller import ask, calling, chat_body
from .harness import GATEWAY, config, spawned
from .provider import serving, speaking

pytestmark = [pytest.mark.slow, pytest.mark.soak]

Write = Callable[[str], Path]

KIB, MIB = 1024, 1024 * 1024


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("space", "stream", "bodies"),
    rounds(
        # So many take more than there is: 50 MiB each, before it was seen to.
        [(700 * MIB, stream, 30) for stream in (True, False)],
        [(space, stream, 60) for space in (700 * MIB, 1024 * MIB) for stream in (True, False)],
    ),
)
async def test_large_bodies_under_a_limit_of_memory_are_served_or_told_to_come_back(
    write: Write, space: int, bodies: int, *, stream: bool
) -> None:
    """Sixty of 16 MiB took the process 3 GB, and gave 500s and resets before."""
    body = chat_body(stream=stream, padding="x" * (16 * MIB))
    command = ["/bin/sh", "-c", f"ulimit -v {space // KIB}; exec {shlex.join(GATEWAY)}"]
    came: Counter[tuple[int, str]] = Counter()
    file = write(config(port := lasting_port()))
    async with serving(speaking, port=port), spawned(command, file) as served:

        async def send() -> None:
            async with calling(served.port) as caller:
                # It may be refused by its head; the answer is there all the same.
                with contextlib.suppress(trio.BrokenResourceError):
                    await caller.post(body)
                reply = await caller.reply()
                code = ""
                if reply.status != 200:
                    code = reply.error["code"]
                    assert 1 <= int(reply.headers["retry-after"]) <= 5
                assert reply.complete
                came[reply.status, code] += 1

        async with trio.open_nursery() as nursery:
            for _ in range(bodies):
                nursery.start_soon(send)
        assert came.keys() == {(200, ""), (503, "overloaded")}
        assert came.total() == bodies
        assert b"Traceback" not in served.said
        # All of the room is there again.
        assert (await ask(served.port)).status == 200
        await send()
        assert came.total() == bodies + 1
        served.terminate()
        assert await served.exit_status() == 0
