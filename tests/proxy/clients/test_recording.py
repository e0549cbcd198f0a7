from __future__ import annotations

import trio
from trio.testing import MockClock

from gateway.core.cache.answers import AnswerRecording, AnswerStore, CachePolicy
from gateway.errors import InvalidRequest
from gateway.proxy.clients.recording import RecordingClient

from ..scripts import EVENTS, ScriptedClient


async def test_it_changes_nothing_but_the_head(autojump_clock: MockClock) -> None:
    inner = ScriptedClient(b"asked", leaves_at=4)
    client = RecordingClient(
        inner, AnswerRecording(AnswerStore(CachePolicy()), b"k", "openai_chat", 60)
    )
    assert await client.read_body(100, 1) == b"asked"
    await client.begin(200, (EVENTS,))
    await client.send(b"one")
    assert client.status == inner.status == 200
    assert inner.headers == {EVENTS[0]: EVENTS[1], b"x-gateway-cache": b"miss"}
    await client.wait_gone()
    assert trio.current_time() == 4
    assert [data for _, data in inner.sent] == [b"one"]


async def test_a_refusal_ends_the_recording(autojump_clock: MockClock) -> None:
    inner = ScriptedClient(b"")
    store = AnswerStore(CachePolicy())
    recording = AnswerRecording(store, b"k", "openai_chat", 60)
    client = RecordingClient(inner, recording)
    error = InvalidRequest("no")
    await client.refuse(error)
    assert (inner.refused, inner.status) == (error, 400)
    assert not recording.going
