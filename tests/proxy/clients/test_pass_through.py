from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gateway.errors import BodyTooLarge, InvalidRequest
from gateway.proxy.clients.pass_through import PassThroughClient
from gateway.proxy.protocols import Client

from ..scripts import EVENTS, JSON, ScriptedClient


async def test_a_stream_is_passed_on(autojump_clock: MockClock) -> None:
    inner = ScriptedClient(b"asked", leaves_at=4)
    client: Client = PassThroughClient(inner)
    assert await client.read_body(100, 1) == b"asked"
    with pytest.raises(BodyTooLarge):
        await client.read_body(3, 1)
    assert (client.status, client.sealed) == (None, False)
    await client.begin(200, (EVENTS,))
    await client.send(b"one")
    await client.keep_alive(b":")
    await client.wait_gone()
    assert trio.current_time() == 4
    await client.finish(b"two")
    assert (client.status, client.sealed) == (200, True)
    assert (inner.headers, inner.text) == (dict((EVENTS,)), b"one:two")
    assert inner.faults == []


async def test_what_is_whole_is_passed_on(autojump_clock: MockClock) -> None:
    inner = ScriptedClient(b"")
    await PassThroughClient(inner).reply(201, (JSON,), b"{}")
    assert (inner.status, inner.headers[JSON[0]], inner.text) == (201, JSON[1], b"{}")


async def test_a_refusal_is_passed_on(autojump_clock: MockClock) -> None:
    inner = ScriptedClient(b"")
    error = InvalidRequest("no")
    await PassThroughClient(inner).refuse(error)
    assert inner.refused is error
