"""Callers that leave, stall, keep sending, or ask too early: what they may not cost."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import trio

from gateway.core.records.record import EndReason

from .caller import Caller, ask, calling, chat_body, get
from .harness import PATIENCE, InProcess, config, in_process
from .provider import Asked, serving, speaking, until
from .wire import (
    DONE,
    LAST_CHUNK,
    STALL,
    Script,
    event,
    framed,
    stream_head,
    streamed,
    whole,
    words,
)

# The promise is a second; a busy machine's scheduler may take some of it for itself.
WITHIN = 2.0

SILENT: Script = [(0.0, STALL)]
MUTE_AFTER_HEAD: Script = [(0.0, stream_head()), (0.0, STALL)]
ONE_WORD: Script = [(0.0, stream_head()), (0.0, framed(event({"content": "first"}))), (0.0, STALL)]
END = event({}, "stop", model="m") + DONE
HALF_BODY: Script = [(0.0, whole(200, b'{"choices":')[:-3]), (0.0, STALL)]


async def leave(caller: Caller, how: str) -> None:
    if how == "reset":
        caller.reset()
    elif how == "half-close":
        # The caller could still read; the gateway takes it for gone all the same.
        await caller.stream.send_eof()
    else:
        await caller.stream.aclose()


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize(
    ("script", "stream"),
    [
        (SILENT, True),
        (MUTE_AFTER_HEAD, True),
        (ONE_WORD, True),
        (SILENT, False),
        (HALF_BODY, False),
    ],
    ids=["stream-no-head", "stream-no-event", "stream-begun", "whole-no-head", "whole-begun"],
)
async def test_caller_that_leaves_frees_the_provider(
    how: str, script: Script, stream: bool
) -> None:
    async with (
        serving(script) as provider,
        serving(speaking) as other,
        in_process(config(provider.port, other.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.ask(stream=stream)
        asked = await provider.wait_asked(1)
        if script is ONE_WORD:
            await caller.head()
            await caller.until(b"first")
        else:
            # Whatever the provider has said is now in the gateway.
            await trio.sleep(0.05)
        await leave(caller, how)
        with trio.fail_after(WITHIN):
            await asked.peer_left.wait()
        await gateway.settled(WITHIN)
        record = await gateway.record()
        # Nobody else is asked on behalf of someone who has left.
        assert other.asked == []
        await until(lambda: not gateway.connections.members, "no connection of a caller")
    assert record.end_reason is EndReason.CLIENT_GONE
    assert record.status == (200 if script is ONE_WORD else 499)
    assert len(record.attempts) == 1
    assert len(gateway.records) == 1


async def test_caller_that_leaves_between_attempts_stops_them() -> None:
    async with serving([(0.0, whole(500, b"{}"))]) as provider:
        text = config(provider.port, retry="base = 30\ncap = 30")
        async with in_process(text) as gateway, calling(gateway.port) as caller:
            await caller.ask(stream=True)
            await provider.wait_asked(1)
            await trio.sleep(0.05)
            await caller.stream.aclose()
            await gateway.settled(WITHIN)
            record = await gateway.record()
            assert len(provider.asked) == 1
    assert record.end_reason is EndReason.CLIENT_GONE


async def test_caller_that_leaves_behind_a_pipelined_request_is_seen() -> None:
    async with (
        serving(ONE_WORD) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.ask(stream=True)
        asked = await provider.wait_asked(1)
        await caller.stream.send_all(b"GET /v1/models HTTP/1.1\r\nhost: gateway.test\r\n\r\n")
        await caller.head()
        await caller.until(b"first")
        await caller.stream.aclose()
        with trio.fail_after(WITHIN):
            await asked.peer_left.wait()
        await gateway.settled(WITHIN)
        record = await gateway.record()
    assert record.end_reason is EndReason.CLIENT_GONE


async def test_pipelined_requests_are_answered_in_order() -> None:
    def answer(asked: Asked) -> Script:
        said = asked.json["messages"][0]["content"]
        return streamed([event({"content": said}), event({}, "stop")], pace=0.02)

    def request(content: str) -> bytes:
        body = chat_body(stream=True, messages=[{"role": "user", "content": content}])
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.test\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    async with (
        serving(answer) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.stream.send_all(b"".join(request(f"number {i}") for i in range(4)))
        got = b""
        with trio.fail_after(PATIENCE):
            while got.count(LAST_CHUNK) < 4:
                data = await caller.stream.receive_some()
                assert data, got
                got += data
        assert len(gateway.records) >= 3
    assert got.count(b"HTTP/1.1 200") == 4
    places = [got.index(f"number {i}".encode()) for i in range(4)]
    assert places == sorted(places)


# Callers who do not read...


@pytest.mark.slow
async def test_stalled_reader_stops_the_provider_and_is_dropped() -> None:
    total = 64 * 1024 * 1024
    block = b"".join(event({"content": "x" * 1000}) for _ in range(800))

    def flood(asked: Asked) -> Script:
        return [(0.0, stream_head()), *[(0.0, framed(block))] * (total // len(block))]

    async with (
        serving(flood) as provider,
        in_process(config(provider.port, server="send_timeout = 2")) as gateway,
        calling(gateway.port, receive_buffer=65536) as caller,
    ):
        await caller.ask(stream=True)
        asked = await provider.wait_asked(1)
        await caller.head()
        before = -1
        with trio.fail_after(PATIENCE):
            while before != asked.sent and not asked.peer_left.is_set():
                before = asked.sent
                await trio.sleep(0.4)
        # Loopback's socket buffers grow to some megabytes on each of the two hops; what the
        # gateway itself holds is 256 KiB, and no clock or reader moves any more.
        assert asked.sent < _kernel_may_hold() + 256 * 1024
        assert asked.sent < total // 2
        with trio.fail_after(PATIENCE):
            await asked.peer_left.wait()
        await gateway.settled()
        record = await gateway.record()
        await until(lambda: not gateway.connections.members, "no connection of a caller")
    assert record.end_reason is EndReason.SEND_TIMEOUT
    assert record.status == 200


def _kernel_may_hold() -> int:
    """Return how much two loopback connections can hold: sending and receiving buffers."""
    limits = [
        int(Path(f"/proc/sys/net/ipv4/tcp_{name}").read_text().split()[2])
        for name in ("rmem", "wmem")
    ]
    return 2 * sum(limits)


async def test_slow_but_steady_reader_gets_everything() -> None:
    events = [event({"content": "x" * 1000}) for _ in range(2000)]
    script = streamed([b"".join(events), END])
    async with (
        serving(script) as provider,
        in_process(config(provider.port, server="send_timeout = 2")) as gateway,
        calling(gateway.port, receive_buffer=32768) as caller,
    ):
        await caller.ask(stream=True)
        await caller.head()
        got = 0
        while (data := await caller.some()) is not None:
            got += len(data)
            await trio.sleep(0.005)
        record = await gateway.record()
    assert record.end_reason is EndReason.COMPLETE
    assert got == len(b"".join(events).replace(b'"real-model"', b'"m"')) + len(END)


# Callers who are refused while they send...


async def keep_sending(caller: Caller, length: int) -> None:
    """Send until the gateway will not have it any more."""
    try:
        for _ in range(length // 65536):
            await caller.stream.send_all(bytes(65536))
    except trio.BrokenResourceError:
        return


@pytest.mark.parametrize(
    ("server", "key", "status", "code"),
    [
        ("max_body_bytes = 100_000", "sk-good-key", 413, "request_too_large"),
        ("", "sk-wrong-key", 401, "invalid_api_key"),
    ],
    ids=["too-large", "unknown-key"],
)
async def test_early_refusal_reaches_callers_who_keep_sending(
    server: str, key: str, status: int, code: str
) -> None:
    length = 16 * 1024 * 1024
    tokens = '[[tokens]]\nname = "app"\nkey = "sk-good-key"'
    answered: list[int] = []

    async def one(gateway: InProcess) -> None:
        async with calling(gateway.port) as caller, trio.open_nursery() as nursery:
            await caller.begin(length, key=key)
            nursery.start_soon(keep_sending, caller, length)
            reply = await caller.reply()
            assert reply.status == status
            assert reply.error["code"] == code
            assert reply.headers["connection"] == "close"
            answered.append(reply.status)
            nursery.cancel_scope.cancel()

    async with (
        serving(speaking) as provider,
        in_process(config(provider.port, server=server, tokens=tokens)) as gateway,
    ):
        await get(gateway.port, "/health/live")
        await until(lambda: not gateway.connections.members, "no connection")
        tasks = trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one, gateway)
        await gateway.settled()
        await until(lambda: not gateway.connections.members, "no connection of a caller", PATIENCE)
        await until(
            lambda: trio.lowlevel.current_statistics().tasks_living <= tasks, "no task left"
        )
        records = list(gateway.records)
        assert provider.asked == []
    assert answered == [status] * 3
    assert [record.end_reason for record in records] == [EndReason.REJECTED] * 3


@pytest.mark.slow
async def test_body_that_never_comes_is_not_awaited_for_ever() -> None:
    async with (
        serving(speaking) as provider,
        in_process(config(provider.port, server="body_timeout = 0.3")) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.begin(1000)
        reply = await caller.reply()
        await gateway.settled()
    assert reply.status == 408
    assert reply.error["code"] == "request_timeout"
    assert reply.headers["connection"] == "close"


async def test_caller_that_leaves_in_the_middle_of_its_body_asks_nobody() -> None:
    async with (
        serving(speaking) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.begin(1000, request_id="req-half")
        await caller.stream.send_all(b'{"model": "m"')
        await until(lambda: "req-half" in gateway.taken_up, "the request taken up")
        await caller.stream.aclose()
        record = await gateway.record()
        await gateway.settled(WITHIN)
        assert provider.asked == []
    assert record.end_reason is EndReason.CLIENT_GONE
    assert record.status == 499


# A crowd...


@pytest.mark.soak
async def test_storm_of_callers_who_leave_at_random_moments_leaves_nothing_behind() -> None:
    crowd, at_once = 500, 60
    rng = random.Random(20260801)  # seeded: the moments differ from caller to caller, not by run
    plans = [
        (f"req-{number}", rng.random() < 0.7, rng.choice(["close", "reset", "half-close", "stay"]))
        for number in range(crowd)
    ]
    moments = {name: rng.uniform(0.0, 0.12) for name, _, _ in plans}

    def answer(asked: Asked) -> Script:
        number = len(asked.body) % 3
        if asked.json.get("stream"):
            return streamed(words(*["word"] * 6), pace=0.01)
        return [(0.03 * number, b""), *speaking(asked)]

    async def one(gateway: InProcess, name: str, stream: bool, how: str) -> None:
        async with room, calling(gateway.port) as caller:
            await caller.ask(stream=stream, request_id=name)
            # From here on there must be a record of it, whatever happens.
            await until(lambda: name in gateway.taken_up, f"{name} taken up", PATIENCE)
            if how == "stay":
                assert (await caller.reply()).complete
                return
            await trio.sleep(moments[name])
            await leave(caller, how)
            if how == "half-close":
                await caller.ended()

    room = trio.CapacityLimiter(at_once)
    async with serving(answer) as provider, in_process(config(provider.port)) as gateway:
        # A first request opens what stays open: a connection to the provider.
        assert (await ask(gateway.port)).status == 200
        await gateway.settled()
        await until(lambda: not gateway.connections.members, "no connection of a caller")
        tasks, descriptors = _tasks(), _descriptors()
        async with trio.open_nursery() as nursery:
            for plan in plans:
                nursery.start_soon(one, gateway, *plan)
        await gateway.settled()
        await gateway.record(crowd + 1)
        await until(lambda: not gateway.connections.members, "no connection of a caller", PATIENCE)
        assert gateway.transport is not None
        idle = sum(stats.idle for stats in gateway.transport.stats().values())
        await provider.wait_open(idle, PATIENCE)
        # Each idle connection has an end in the gateway and one in the provider, with its task.
        await until(lambda: _tasks() <= tasks + idle, "no task left", PATIENCE)
        await until(
            lambda: _descriptors() <= descriptors + 2 * idle, "no descriptor left", PATIENCE
        )
        await trio.sleep(0.05)
        records = gateway.records[1:]
    assert sorted(record.request_id for record in records) == sorted(name for name, _, _ in plans)
    reasons = {record.end_reason for record in records}
    assert reasons == {EndReason.COMPLETE, EndReason.CLIENT_GONE}
    stayed = {name for name, _, how in plans if how == "stay"}
    complete = {record.request_id for record in records if record.end_reason is EndReason.COMPLETE}
    assert stayed <= complete


def _tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.slow
async def test_crowd_that_leaves_while_it_queues_for_connections_leaves_the_pool_whole() -> None:
    """What ends a pool for good elsewhere (encode/httpcore issue 1093)."""
    limit, crowd = 5, 200
    rng = random.Random(1093)
    moments = [rng.uniform(0.0, 0.1) for _ in range(crowd)]

    async def one(gateway: InProcess, name: str, moment: float) -> None:
        async with room, calling(gateway.port) as caller:
            await caller.ask(stream=True, request_id=name)
            await until(lambda: name in gateway.taken_up, f"{name} taken up", PATIENCE)
            await trio.sleep(moment)

    room = trio.CapacityLimiter(40)
    text = "max_connections = 5"
    async with (
        serving(streamed(words("word"), pace=0.01)) as provider,
        in_process(config(provider.port, provider=text)) as gateway,
    ):
        async with trio.open_nursery() as nursery:
            for number, moment in enumerate(moments):
                nursery.start_soon(one, gateway, f"req-{number}", moment)
        await gateway.record(crowd)
        await gateway.settled()
        assert gateway.transport is not None
        (stats,) = gateway.transport.stats().values()
        assert (stats.in_use, stats.waiting) == (0, 0)
        assert stats.idle <= limit
        # Every slot is there to be used: so many at once, and none of them waits in vain.
        answered: list[int] = []

        async def again() -> None:
            answered.append((await ask(gateway.port, stream=True)).status)

        async with trio.open_nursery() as nursery:
            for _ in range(limit):
                nursery.start_soon(again)
        await gateway.record(crowd + limit)
        assert len(gateway.records) == crowd + limit
    assert answered == [200] * limit
