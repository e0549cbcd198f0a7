"""The list of exchanges in flight while a real stream is under way."""

from __future__ import annotations

import os
import socket
from typing import Any

from .caller import calling, get
from .harness import InProcess, config, in_process
from .provider import Asked, serving
from .store import ADMIN, ADMINS, eventually
from .wire import Script, event, framed, stream_head

NOTHING = {"rows": [], "total": 0, "next": None, "silent": []}
SECOND = b'"content":"second"'
TOKEN = '[[tokens]]\nname = "app"\nkey = "sk-app-of-the-tests"\n'


def stuck(asked: Asked) -> Script:
    """Send three events and then nothing more, for longer than this test takes."""
    texts = [event({"content": text}) for text in ("first", "second", "third")]
    return [(0.0, stream_head()), *[(0.0, framed(each)) for each in texts], (60.0, b"")]


async def in_flight(gateway: InProcess, query: str = "") -> dict[str, Any]:
    reply = await get(gateway.port, f"/admin/api/in-flight{query}", key=ADMIN)
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json
    return found


async def test_a_stream_is_in_the_list_until_its_caller_leaves() -> None:
    tokens = f"{ADMINS}{TOKEN}"
    async with (
        serving(stuck) as provider,
        in_process(config(provider.port, tokens=tokens)) as gateway,
    ):
        assert await in_flight(gateway) == NOTHING

        async def counted() -> bool:
            return [row["events"] for row in (await in_flight(gateway))["rows"]] == [3, 3]

        async with calling(gateway.port) as one, calling(gateway.port) as two:
            for caller in (one, two):
                await caller.ask(key="sk-app-of-the-tests", stream=True)
                assert await caller.head() == 200
                await caller.until(SECOND)
            await eventually(counted, "three events of each stream")
            found = await in_flight(gateway, "?limit=1")
            (row,) = found["rows"]
            assert found["total"] == 2
            assert row["request_id"] == one.headers["x-request-id"]
            assert 0 < row["age_s"] < 10
            assert row["pid"] == os.getpid()
            assert row["host"] == (os.environ.get("GATEWAY_HOST") or socket.gethostname())
            for each in ("request_id", "age_s", "pid", "host", "started"):
                del row[each]
            assert row == {
                "token": "app",
                "client_ip": "127.0.0.1",
                "model": "m",
                "stream": True,
                "provider": "p0",
                "provider_model": "real-model",
                "attempts": 1,
                "events": 3,
                "shared": False,
            }
        await gateway.settled()
        assert await in_flight(gateway) == NOTHING
